#include "data/search.h"

#include <filesystem>

#include "tests/data/files.h"

namespace alma::test {
namespace {

const std::vector<std::string> kFiles = {"images", "labels"};

DataPlace find() { return find_data_set({"digits", kFiles, "digits-archive", "unpacked", {"letters"}}); }

void write_set(const TemporaryFolder& folder, const std::string& place, const std::string& packed = "") {
  for (const std::string& file : kFiles) folder.write(place + "/" + file + packed, {1});
}

/// No set of the machine, and no cache, takes part.
class Search : public testing::Test {
 protected:
  void look_in(const std::string& list) { data_.emplace("ALMA_DATA", list); }

  TemporaryFolder folder_;
  ScopedVariable cache_{"XDG_CACHE_HOME", folder_ / "cache"};
  std::optional<ScopedVariable> data_{std::in_place, "ALMA_DATA", std::nullopt};
};

TEST_F(Search, FoldersInOrder) {
  data_.emplace("ALMA_DATA", "/one::/two/");
  EXPECT_EQ(data_folders(), (std::vector<std::string>{"/one", "/two/", folder_ / "cache/alma", "/usr/share/datasets",
                                                      "/usr/local/share/datasets"}));
  const ScopedVariable no_cache("XDG_CACHE_HOME", std::nullopt);
  const ScopedVariable home("HOME", "/home/someone");
  EXPECT_EQ(data_folders().at(2), "/home/someone/.cache/alma");
  const ScopedVariable no_home("HOME", std::nullopt);
  EXPECT_EQ(data_folders().size(), 4u);
  data_.reset();
  const ScopedVariable none("ALMA_DATA", std::nullopt);
  EXPECT_EQ(data_folders(), (std::vector<std::string>{"/usr/share/datasets", "/usr/local/share/datasets"}));
}

TEST_F(Search, NothingAnywhere) {
  const DataPlace place = find();
  EXPECT_EQ(place.folder, "");
  EXPECT_EQ(place.paths, (std::vector<std::string>{"", ""}));
  EXPECT_FALSE(place.complete());
}

TEST_F(Search, NamedFolderThenFolderThenNextThenCache) {
  look_in(folder_ / "a" + ":" + folder_ / "b");
  write_set(folder_, "cache/alma/digits");
  EXPECT_EQ(find().folder, folder_ / "cache/alma/digits");
  write_set(folder_, "b");
  EXPECT_EQ(find().folder, folder_ / "b");
  write_set(folder_, "b/digits");
  EXPECT_EQ(find().folder, folder_ / "b/digits");
  write_set(folder_, "a");
  EXPECT_EQ(find().folder, folder_ / "a");
  write_set(folder_, "a/digits");
  EXPECT_EQ(find().folder, folder_ / "a/digits");
  EXPECT_TRUE(find().complete());
}

TEST_F(Search, PlainThenGzipThenXz) {
  look_in(folder_ / "a");
  write_set(folder_, "a", ".xz");
  EXPECT_EQ(find().paths.front(), folder_ / "a/images.xz");
  write_set(folder_, "a", ".gz");
  EXPECT_EQ(find().paths.front(), folder_ / "a/images.gz");
  write_set(folder_, "a");
  EXPECT_EQ(find().paths, (std::vector<std::string>{folder_ / "a/images", folder_ / "a/labels"}));
}

TEST_F(Search, TheFolderOfAnArchiveAndTheArchiveItself) {
  look_in(folder_ / "a" + ":" + folder_ / "b");
  folder_.write("a/digits-archive.tar.gz", {1});
  EXPECT_EQ(find().archive, folder_ / "a/digits-archive.tar.gz");
  EXPECT_TRUE(find().complete());
  folder_.write("a/digits/digits-archive.tar.xz", {1});
  EXPECT_EQ(find().archive, folder_ / "a/digits/digits-archive.tar.xz");
  folder_.write("a/images", {1});
  EXPECT_EQ(find().archive, folder_ / "a/digits/digits-archive.tar.xz") << "rather than a part";
  write_set(folder_, "b/unpacked");
  EXPECT_EQ(find().archive, "") << "files come first";
  EXPECT_EQ(find().folder, folder_ / "b/unpacked");
  write_set(folder_, "a/digits/unpacked");
  EXPECT_EQ(find().folder, folder_ / "a/digits/unpacked");
}

TEST_F(Search, ASetIsNeverPutTogetherFromTwoPlaces) {
  look_in(folder_ / "a" + ":" + folder_ / "b");
  folder_.write("a/images", {1});
  EXPECT_EQ(find().paths, (std::vector<std::string>{folder_ / "a/images", ""}));
  folder_.write("b/labels", {1});
  EXPECT_FALSE(find().complete());
  EXPECT_EQ(find().folder, folder_ / "a");
  folder_.write("b/images", {1});
  EXPECT_EQ(find().folder, folder_ / "b");  // the first that is complete
}

TEST_F(Search, AFolderOfAnotherSetIsNotTakenForThisOne) {
  write_set(folder_, "letters");
  for (const char* spelling : {"letters", "letters/"}) {
    look_in(folder_ / spelling);
    EXPECT_EQ(find().folder, "") << spelling;
  }
  write_set(folder_, "letters/digits");
  EXPECT_EQ(find().folder, folder_ / "letters/digits");
}

}  // namespace
}  // namespace alma::test
