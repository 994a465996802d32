#include "policies/language/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <unordered_set>

namespace sallyport::policy {
namespace {

Position At(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// ViewBuffer lets yaml-cpp read a borrowed text without a copy.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // NOLINT: streambuf takes char* and only reads
    setg(begin, begin, begin + text.size());
  }
};

// TreeBuilder turns the events of one document into a tree and reports what the profile refuses.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Diagnostics& out) : out_(out) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    start_ = At(mark);
    if (documents_++ > 0) Refuse(start_, "a second document in the same file");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    CheckAnchor(mark, anchor);
    Add(Make(YamlNode::Kind::kNull, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(At(mark), "aliases are not allowed");
    Add(Make(YamlNode::Kind::kNull, mark));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckAnchor(mark, anchor);
    CheckTag(mark, tag);
    YamlNode node = Make(YamlNode::Kind::kScalar, mark);
    node.text = value;
    node.quoted = tag == "!";
    Add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

  int documents() const { return documents_; }
  YamlNode TakeRoot() { return std::move(root_); }

 private:
  struct Frame {
    YamlNode node;
    std::optional<YamlEntry> pending;  // a map key that waits for its value
    std::unordered_set<std::string> keys;
  };

  static YamlNode Make(YamlNode::Kind kind, const YAML::Mark& mark) {
    YamlNode node;
    node.kind = kind;
    node.at = At(mark);
    return node;
  }
  void Refuse(Position at, std::string message) { out_.Add(Code::kSyntax, at, std::move(message)); }
  void CheckAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) Refuse(At(mark), "anchors are not allowed");
  }
  void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag != "?" && tag != "!" && !tag.empty()) Refuse(At(mark), "tags are not allowed: " + tag);
  }
  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    CheckAnchor(mark, anchor);
    CheckTag(mark, tag);
    if (frames_.size() == kYamlDepthMax) Refuse(At(mark), "nested too deeply");
    frames_.push_back({Make(kind, mark), std::nullopt, {}});
  }
  void Close() {
    YamlNode node = std::move(frames_.back().node);
    frames_.pop_back();
    // Deeper levels are dropped, so that no tree is ever deeper than the limit.
    if (frames_.size() >= kYamlDepthMax)
      node = Make(YamlNode::Kind::kNull, YAML::Mark::null_mark());
    Add(std::move(node));
  }
  void Add(YamlNode node) {
    if (documents_ > 1) return;
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == YamlNode::Kind::kList) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.pending) {
      TakeKey(frame, node);
    } else {
      frame.pending->value = std::move(node);
      if (frame.keys.insert(frame.pending->key).second)
        frame.node.entries.push_back(*std::move(frame.pending));
      frame.pending.reset();
    }
  }
  void TakeKey(Frame& frame, const YamlNode& node) {
    frame.pending = YamlEntry{node.text, node.at, {}};
    if (node.kind != YamlNode::Kind::kScalar) {
      Refuse(node.at, "a key must be a plain word");
    } else if (node.text == "<<") {
      Refuse(node.at, "merge keys are not allowed");
    } else if (frame.keys.contains(node.text)) {
      out_.Add(Code::kDuplicate, node.at, "duplicate key '" + node.text + "'");
    }
  }

  Diagnostics& out_;
  Position start_;
  int documents_ = 0;
  YamlNode root_;
  std::vector<Frame> frames_;
};

// NextLength returns the length of the UTF-8 sequence that starts `rest`, or 0.
size_t NextLength(std::string_view rest) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(rest[i]); };
  const auto follows = [&](size_t i) { return i < rest.size() && (byte(i) & 0xC0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return follows(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (!follows(1) || !follows(2)) return 0;
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (lead > 0xF4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  const bool out_of_range = (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) >= 0x90);
  return out_of_range ? 0 : 4;
}

// CheckText refuses what yaml-cpp would decode by guessing: UTF-16, byte-order marks, NUL.
bool CheckText(std::string_view text, Diagnostics& out) {
  if (text.size() > kYamlSizeMax) {
    out.Add(Code::kSyntax, {},
            "the file is larger than " + std::to_string(kYamlSizeMax) + " bytes");
    return false;
  }
  Position at{1, 1};
  if (text.starts_with("\xEF\xBB\xBF")) {
    out.Add(Code::kSyntax, at, "the file starts with a byte-order mark");
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    const size_t length = NextLength(text.substr(i));
    if (length == 0) {
      out.Add(Code::kSyntax, at, "the file is not UTF-8 text");
      return false;
    }
    at = text[i] == '\n' ? Position{at.line + 1, 1} : Position{at.line, at.column + 1};
    i += length;
  }
  return true;
}

}  // namespace

std::optional<YamlNode> ReadYaml(std::string_view text, Diagnostics& out) {
  if (!CheckText(text, out)) return std::nullopt;
  const size_t findings = out.all().size();
  ViewBuffer buffer(text);
  std::istream stream(&buffer);
  TreeBuilder builder(out);
  try {
    YAML::Parser parser(stream);
    while (builder.documents() < 2 && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    out.Add(Code::kSyntax, At(e.mark), e.msg);
  }
  if (builder.documents() == 0 && out.all().size() == findings)
    out.Add(Code::kSyntax, {1, 1}, "the file is empty");
  if (out.all().size() != findings) return std::nullopt;
  return builder.TakeRoot();
}

}  // namespace sallyport::policy
