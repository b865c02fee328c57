// What may be in a file that calls itself JSON. Expected values are those of RFC 8259, RFC 3629 and the types' limits.
#include "base/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace alma::test {
namespace {

using nlohmann::json;

/// What the JsonError of an action says; empty if there is none.
std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const JsonError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.what();
  }
  return "";
}

std::string parse_error(const std::string& text) {
  return error_of([&] { parse_json(text); });
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Json, NestingIsBounded) {
  const auto lists = [](int depth) { return repeated("[", depth) + repeated("]", depth); };
  const auto objects = [](int depth) { return repeated(R"({"a":)", depth) + "1" + repeated("}", depth); };
  EXPECT_EQ(parse_error(lists(64)), "");
  EXPECT_EQ(parse_error(objects(64)), "");
  for (const std::string& deep : {lists(65), objects(65), lists(300'000), repeated("[{\"a\":", 1'000'000)})
    EXPECT_NE(parse_error(deep).find("deeper than 64 levels"), std::string::npos) << deep.size();
  // What closes again does not add up, and brackets in a text are none.
  EXPECT_EQ(parse_error("[" + repeated("[],", 1000) + "{}]"), "");
  EXPECT_EQ(parse_json(R"(["\")" + repeated("[{", 1000) + R"(\\"])")[0].get<std::string>().size(), 2002u);
}

TEST(Json, IntegersAreNeverConvertedFromWhatTheyAreNot) {
  const auto integer = [](const std::string& text) { return to_integer(parse_json(text), "t"); };
  EXPECT_EQ(integer("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(integer("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(integer("-0"), 0);
  const std::string far = "1" + repeated("0", 40);
  for (const std::string& text :
       {std::string("9223372036854775808"), std::string("18446744073709551615"), std::string("18446744073709551616"),
        std::string("-9223372036854775809"), far, "-" + far, std::string("1e18"), std::string("1.0"), std::string("-0.0"),
        std::string("0.5"), std::string("\"1\""), std::string("true"), std::string("null"), std::string("[1]")}) {
    const std::string error = error_of([&] { integer(text); });
    EXPECT_EQ(error.find("t is "), 0u) << text << ": " << error;
    EXPECT_NE(error.find("expected an integer in -9223372036854775808 .. 9223372036854775807"), std::string::npos) << error;
  }
}

TEST(Json, IntegersHaveARange) {
  const json value = parse_json(R"({"least": -3, "most": 4, "below": -4, "above": 5, "far": 18446744073709551615})");
  EXPECT_EQ(json_integer(value, "least", -3, 4), -3);
  EXPECT_EQ(json_integer(value, "most", -3, 4), 4);
  for (const char* key : {"below", "above", "far"})
    EXPECT_EQ(error_of([&] { json_integer(value, key, -3, 4); }),
              key + std::string(" is ") + value.at(key).dump() + ", expected an integer in -3 .. 4");
}

TEST(Json, NumbersAreFinite) {
  const auto number = [](const std::string& text) { return to_number(parse_json(text), "loss"); };
  EXPECT_EQ(number("1.7976931348623157e308"), 1.7976931348623157e308);
  EXPECT_EQ(number("-5e-324"), -5e-324);
  EXPECT_EQ(number("9007199254740993"), 9007199254740992.0);  // the nearest double
  EXPECT_EQ(number("18446744073709551616"), 0x1p64);
  EXPECT_EQ(number("3"), 3);
  for (const char* text : {"1e309", "-1e309", "1e999999999"}) EXPECT_NE(parse_error(text), "") << text;
  for (const char* text : {"NaN", "Infinity", "-Infinity", "nan", "inf", "0x10", "01", "1.", ".5", "+1", "1e", "--1"})
    EXPECT_EQ(parse_error(text).find("not JSON: "), 0u) << text;
  for (const char* text : {"null", "\"1\"", "true", "[]"})
    EXPECT_EQ(error_of([&] { number(text); }), "loss is " + std::string(text) + ", expected a finite number");
}

TEST(Json, AKeyIsThereOnce) {
  EXPECT_EQ(parse_error(R"({"t": 1, "t": 2})"), R"(key "t" is there twice in one object)");
  EXPECT_EQ(parse_error(R"({"a": [{"b": {"c": 1, "d": 2, "c": 1}}]})"), R"(key "c" is there twice in one object)");
  EXPECT_EQ(parse_error("{\"\\u00e9\": 1, \"\xc3\xa9\": 2}"), "key \"\\u00e9\" is there twice in one object");
  // In objects beside and inside one another a name may come back.
  const json value = parse_json(R"({"a": {"a": [{"a": 1}, {"a": 2}]}, "b": {"a": 3}})");
  EXPECT_EQ(value.at("a").at("a").at(1).at("a"), 2);
  EXPECT_EQ(value.at("b").at("a"), 3);
}

TEST(Json, TextsAreUtf8) {
  EXPECT_EQ(parse_json("\"caf\xc3\xa9 \\ud83d\\ude00\"").get<std::string>(), "caf\xc3\xa9 \xf0\x9f\x98\x80");
  for (const char* bytes : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe9t"})
    for (const std::string& text :
         {'"' + std::string(bytes) + '"', "{\"" + std::string(bytes) + "\": 1}", std::string(bytes)}) {
      const std::string error = parse_error(text);
      EXPECT_EQ(error.find("not JSON: "), 0u) << error;
      EXPECT_EQ(first_invalid_utf8(error), std::nullopt) << error;  // the message can be shown, and be in JSON itself
    }
  EXPECT_NE(parse_error("\"\\ud800\""), "") << "half a pair";
  EXPECT_NE(parse_error(std::string("\"a\0b\"", 5)), "");
}

TEST(Json, APieceIsNoText) {
  const std::string whole = R"({"t": 12, "x": [1.5, "a\u0041", true, null]})";
  EXPECT_EQ(parse_error(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_NE(parse_error(whole.substr(0, size)), "") << size;
  for (const char* text : {"{} {}", "[1,]", "{,}", "1 2", "// comment\n1", "{'a': 1}", "tru", "[1}"})
    EXPECT_NE(parse_error(text), "") << text;
}

TEST(Json, MembersSayWhatIsWrongWithThem) {
  const json value = parse_json(R"({"text": "x", "flag": false, "number": 1.5})");
  EXPECT_EQ(json_text(value, "text"), "x");
  EXPECT_FALSE(json_flag(value, "flag"));
  EXPECT_EQ(json_number(value, "number"), 1.5);
  EXPECT_EQ(error_of([&] { json_text(value, "flag"); }), "flag is false, expected a string");
  EXPECT_EQ(error_of([&] { json_flag(value, "text"); }), "text is \"x\", expected true or false");
  EXPECT_EQ(error_of([&] { json_text(value, "none"); }), "key 'none' not found");
  EXPECT_EQ(error_of([] { json_member(json::array(), "t"); }), "the value that should hold t is [], expected a JSON object");
  // A long value is named by its beginning.
  const std::string error = error_of([] { json_flag({{"x", std::string(100'000, 'y')}}, "x"); });
  EXPECT_LT(error.size(), 150u);
  EXPECT_NE(error.find("yyy ..."), std::string::npos) << error;
}

}  // namespace
}  // namespace alma::test
