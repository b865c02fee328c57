#include "data/published.h"

#include "base/error.h"

namespace alma {

namespace {

std::vector<PublishedSet> image_sets() {
  return {
      // The content whose MD5 sums are published with the original files (train images 6bbc9ace898e44ae57da46a324031adb);
      // mean and standard deviation as the paper's code rounds them.
      {"mnist",
       "handwritten digits, 60,000 + 10,000 grey images of 28 x 28, 10 classes",
       {{"train-images-idx3-ubyte", 47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
        {"train-labels-idx1-ubyte", 60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
        {"t10k-images-idx3-ubyte", 7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
        {"t10k-labels-idx1-ubyte", 10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
       PublishedImages{ImageFormat::idx, 10, 1, 28, 28, {0.1307f}, {0.3081f}},
       "",
       "",
       {"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"},
       ""},
      {"fashion-mnist",
       "articles of clothing, 60,000 + 10,000 grey images of 28 x 28, 10 classes",
       {{"train-images-idx3-ubyte", 47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
        {"train-labels-idx1-ubyte", 60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
        {"t10k-images-idx3-ubyte", 7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
        {"t10k-labels-idx1-ubyte", 10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}},
       PublishedImages{ImageFormat::idx, 10, 1, 28, 28, {0.2860f}, {0.3530f}},
       "",
       "",
       {"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"},
       "dataset-fashion-mnist"},
      // The binary version: the six files whose MD5 sums are published (data_batch_1 5dd7e06a14cb22eb9f671a540d1b7c25).
      {"cifar10",
       "photographs, 50,000 + 10,000 colour images of 32 x 32, 10 classes",
       {{"data_batch_1.bin", 30730000, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
        {"data_batch_2.bin", 30730000, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
        {"data_batch_3.bin", 30730000, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
        {"data_batch_4.bin", 30730000, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
        {"data_batch_5.bin", 30730000, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"},
        {"test_batch.bin", 30730000, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"}},
       PublishedImages{ImageFormat::cifar, 10, 3, 32, 32, {0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
       "cifar-10-binary.tar.gz",
       "cifar-10-batches-bin",
       {"https://www.cs.toronto.edu/~kriz/"},
       ""},
  };
}

std::vector<PublishedSet> text_sets() {
  return {
      // The files of pytorch/examples, word_language_model; its training text has no sum that we know.
      {"wikitext2",
       "text of Wikipedia, split into words, with <unk>: validation and test of WikiText-2, 455,097 words",
       {{"wikitext2-valid.txt", 1121681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8", "valid.txt"},
        {"wikitext2-test.txt", 1256449, "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0", "test.txt"}},
       std::nullopt,
       "",
       "text",
       {"https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/"},
       ""},
      // Of computationalstylistics/100_english_novels and COST-ELTeC/ELTeC-eng, cleaned; books are separated by lines that
      // hold <|endoftext|>.
      {"novels",
       "134 English novels of 1839 to 1930: 124 books to train, 6 to validate, 4 to test; 17.9 million words",
       {{"novels-train.txt", 92995526, "32d550fb1c2b306546e3f5e8d5da5cc6d4584ba66c77f814a5a7e50fbdecbf07"},
        {"novels-valid.txt", 2491660, "51fc4669d49214128f787ef4c5a073c1dccc4f2a6401874252fe2fa261eee8de"},
        {"novels-test.txt", 2428557, "99595c7bc5aaf162d2e1509d026adf1708dc3b53f5ab17c75d78f32e09552a79"}},
       std::nullopt,
       "",
       "text",
       {},
       ""},
  };
}

}  // namespace

const std::vector<PublishedSet>& published_sets() {
  static const std::vector<PublishedSet> sets = [] {
    std::vector<PublishedSet> all = image_sets();
    for (PublishedSet& set : text_sets()) all.push_back(std::move(set));
    return all;
  }();
  return sets;
}

const PublishedSet* find_published(const std::string& name) {
  for (const PublishedSet& set : published_sets())
    if (set.name == name) return &set;
  return nullptr;
}

const PublishedSet& published_set(const std::string& name) {
  if (const PublishedSet* set = find_published(name)) return *set;
  std::string known;
  for (const PublishedSet& set : published_sets()) known += (known.empty() ? "" : ", ") + set.name;
  fail(ErrorKind::usage, name, ": no data set with published files has this name; expected one of ", known);
}

DataPlace find_place(const PublishedSet& set) {
  DataNames names{set.name, {}, set.archive.substr(0, set.archive.find(".tar")), set.folder, {}};
  for (const PublishedFile& file : set.files) names.files.push_back(file.name);
  for (const PublishedSet& other : published_sets())
    if (other.name != set.name) names.rivals.push_back(other.name);
  return find_data_set(names);
}

std::string how_to_get(const PublishedSet& set) {
  std::string text;
  if (!set.mirrors.empty()) text += "get it with: alma data fetch " + set.name + ", or ";
  if (!set.package.empty()) text += "with: apt-get install " + set.package + ", or ";
  return text + "put its files into FOLDER/" + set.name + " and set ALMA_DATA=FOLDER";
}

}  // namespace alma
