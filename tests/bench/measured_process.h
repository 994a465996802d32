// A program under measurement: it ends with the benchmark that started it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sallyport {

// Spawn starts `arguments[0]`; its output is appended to `log`.
pid_t Spawn(std::vector<std::string> arguments, const std::string& log);
// CpuSecondsOf is what all threads of a running process have used.
double CpuSecondsOf(pid_t pid);
// SiblingProgram is the path of a program beside this one.
std::string SiblingProgram(const std::string& name);

}  // namespace sallyport
