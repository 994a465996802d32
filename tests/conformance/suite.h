// Suite is the fixture of the conformance cases: a simulated repository behind HTTP, and the
// conformance client as a program with directories of its own. Cases that need another day than
// today run the shipped client in this process, on the same directory.
#pragma once

#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pki/base/file_system.h"
#include "tests/conformance/repository_simulator.h"

namespace sallyport::ota {

class Suite : public testing::Test {
 protected:
  Suite();
  ~Suite() override;

  // Init, Refresh and Download run the program and return its exit code.
  int Init();
  int InitWith(ByteView root);
  int Refresh();
  int Download(const std::string& target);
  // RefreshAfter and DownloadAfter run the shipped client `later` than now.
  int RefreshAfter(Duration later);
  int DownloadAfter(Duration later, const std::string& target);

  // Version of a stored role; 0 without one.
  int64_t Version(const std::string& role);
  // Trusted lists the stored roles: `root 1, snapshot 2`.
  std::string Trusted();
  Bytes Stored(const std::string& role);
  // Downloaded lists the contents of the artifact folder, oldest first.
  std::vector<std::string> Downloaded() const;
  // Published is the newest publication of a role.
  const Bytes& Published(const std::string& role) const { return repo_.published.at(role).back(); }
  // SetMember changes one member of the newest publication without a new signature.
  void SetMember(const std::string& role, const std::vector<std::string>& path, JsonValue value);
  JsonValue Parsed(const std::string& role) const;

  UnixTime now_;
  RepositorySimulator repo_;
  std::string directory_;

 private:
  int Run(std::vector<std::string> arguments);
  std::string MetadataDirectory() const { return directory_ + "/metadata"; }

  PosixFileSystem files_;
  httplib::Server server_;
  std::string url_;
  std::thread thread_;
};

}  // namespace sallyport::ota
