// The files of a vocabulary: encoder.json and vocab.bpe, or one tokenizer.json.
#include "text/vocabulary.h"

#include "tests/fuzz/target.h"
#include "text/bpe_encoder.h"
#include "text/byte_alphabet.h"

namespace alma::fuzz {
namespace {

void use(const Vocabulary& vocabulary) {
  std::string text = "the sea, the \xe6\x97\xa5\n\n'll ";
  for (int byte = 0; byte < 128; ++byte) text += static_cast<char>(byte);
  text += std::string(200, 'a');
  std::vector<std::int32_t> ids;
  BpeEncoder(vocabulary).encode(text, ids);
  require(decode(vocabulary, ids) == text, "another text");
  for (const std::int32_t id : ids) require(!vocabulary.is_special(id), "a special token of a text");
}

void read(std::string_view input) {
  const auto [tokens, merges] = parts_of<2>(input);
  std::string path = write_file("tokenizer.json", tokens);
  if (!merges.empty()) {
    write_file("pair/encoder.json", tokens);
    write_file("pair/vocab.bpe", merges);
    path = folder() + "/pair";
  }
  const Vocabulary vocabulary = read_vocabulary(path);
  use(vocabulary);
  write_vocabulary(vocabulary, folder() + "/again");
  require(read_vocabulary(folder() + "/again").hash() == vocabulary.hash(), "another vocabulary once written");
}

std::vector<std::string> seeds() {
  std::string tokens;
  int id = 0;
  for (const unsigned char byte : bytes_by_character()) {
    const std::string character = to_characters(std::string(1, static_cast<char>(byte)));
    tokens += '"' + std::string(character == "\"" || character == "\\" ? "\\" : "") + character +
              "\":" + std::to_string(id++) + ",";
  }
  const std::string more = R"("th":256,"the":257,"Ġthe":258,"aa":259)", merges = "#version: 0.2\nt h\nth e\nĠ the\na a\n";
  const std::string both = "{" + tokens + more + R"(,"<|endoftext|>":260,"< >":261})" + std::string(kBetween) + merges;
  const std::string split =
      R"("normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  const std::string tokenizer = R"({"added_tokens":[{"id":260,"content":"<|endoftext|>","special":true}],)" + split +
                                R"(,"model":{"type":"BPE","dropout":null,"vocab":{)" + tokens + more;
  return {both,
          tokenizer + R"(},"merges":["t h","th e",["Ġ","the"],["a","a"]]}})",
          tokenizer + R"(,"<|endoftext|>":260},"merges":[]}})",
          R"({"model":{"type":"Unigram","vocab":[]}})",
          "{}",
          std::string(kBetween) + merges};
}

const Registered target{{"vocabulary", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
