// Rules about the shape of source files: sizes, headers, switches, notes left behind, tests that
// are not built.
#pragma once

#include <vector>

#include "tests/lint/source_tree.h"

namespace sallyport::lint {

inline constexpr size_t kFunctionLinesMax = 70;
inline constexpr size_t kFileLinesMax = 600;  // tests may be longer: they are lists

// CheckHeader: a header begins with a comment that says what it is for, and has an include guard.
std::vector<Finding> CheckHeader(const SourceFile& file);
// CheckSizes: functions and files within the limits above.
std::vector<Finding> CheckSizes(const SourceFile& file);
// CheckSwitches: a switch over an enum of ours lists every value, so that a new one breaks the
// build. Our enumerators are recognised by their name, Type::kSomething.
std::vector<Finding> CheckSwitches(const SourceFile& file);
// CheckNotes: a note to do something later names its issue, as in `TODO(#12)`.
std::vector<Finding> CheckNotes(const SourceFile& file);
// CheckPaths: no absolute path of somebody's machine.
std::vector<Finding> CheckPaths(const SourceFile& file);
// CheckSleeps: no test waits by sleeping.
std::vector<Finding> CheckSleeps(const SourceFile& file);

// CheckTestsAreBuilt: each *_test.cc, *_bench.cc and *_fuzzer.cc is named in the CMakeLists.txt
// beside it.
std::vector<Finding> CheckTestsAreBuilt(const std::vector<SourceFile>& tree);
// CheckTestMirror: tests/unit mirrors the modules. Each test stands in the mirror of a folder with
// code, and each folder with code has tests there.
std::vector<Finding> CheckTestMirror(const std::vector<SourceFile>& tree);

}  // namespace sallyport::lint
