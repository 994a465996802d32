#include "device-client/update/trial_notes.h"

#include <gtest/gtest.h>

#include "device-client/update/reboot_gate.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

TrialNote Full() {
  ota::ImageOrigins origins;
  origins.Count(ota::Origin::kDelta, 4096);
  origins.Count(ota::Origin::kFull, 100);
  return {ReleaseDigest::FromArray({7}),
          "2.0.0",
          "probes",
          "web: down",
          "log\nlines",
          true,
          true,
          3,
          1,
          "after-commit",
          UnixTime::FromSeconds(1'800'000'000),
          {Minutes(3), Minutes(4)},
          origins};
}

TEST(TrialNotes, AreReadAsTheyWereWritten) {
  MemoryFileSystem files;
  TrialNotes notes(files, "state/trial.json");
  EXPECT_EQ(notes.Load(), TrialNote());
  notes.Save(Full());
  EXPECT_EQ(notes.Load(), Full());
}

TEST(TrialNotes, LoseNothingButExplanationsWhenTheFileIsBroken) {
  MemoryFileSystem files;
  TrialNotes notes(files, "state/trial.json");
  for (const std::string text : {"", "{}", "nonsense", "{\"release\":\"zz\"}"}) {
    ASSERT_TRUE(WriteFileAtomically(files, "state/trial.json", AsBytes(text)));
    EXPECT_EQ(notes.Load(), TrialNote()) << text;
  }
  const std::string whole = WriteTrialNote(Full());
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(ParseTrialNote(std::string_view(whole).substr(0, size))) << size;
}

TEST(TrialNotes, OfAnOlderAgentSayNothingOfTheImage) {
  std::string text = WriteTrialNote(Full());
  const size_t at = text.find(R"("origins":)");
  text.erase(at, text.find("}}", at) + 3 - at);
  TrialNote expected = Full();
  expected.origins = {};
  EXPECT_EQ(*ParseTrialNote(text), expected) << text;
}

TEST(TrialNotes, RememberABoundedNumberOfUpdates) {
  TrialNote note = Full();
  note.past.assign(100, Minutes(1));
  EXPECT_EQ(ParseTrialNote(WriteTrialNote(note))->past.size(), kPastUpdatesMax);
}

}  // namespace
}  // namespace sallyport::device
