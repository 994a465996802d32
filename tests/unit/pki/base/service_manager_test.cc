#include "pki/base/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace sallyport {
namespace {

TEST(NotifyServiceManager, SendsOneDatagramToAnAbstractSocket) {
  const std::string name = "@sallyport-notify-" + std::to_string(::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size), 0);

  EXPECT_TRUE(NotifyServiceManager(name, "READY=1"));

  char said[32]{};
  EXPECT_EQ(::recv(fd, said, sizeof(said), MSG_DONTWAIT), 7);
  EXPECT_STREQ(said, "READY=1");
  ::close(fd);
  EXPECT_EQ(NotifyServiceManager(name, "READY=1").error().reason, Reason::kUnavailable);
}

TEST(NotifyServiceManager, NobodyToTellIsNoErrorAndALongNameIs) {
  EXPECT_TRUE(NotifyServiceManager("", "READY=1"));
  EXPECT_EQ(NotifyServiceManager(std::string(200, 'a'), "READY=1").error().reason,
            Reason::kInvalidArgument);
}

}  // namespace
}  // namespace sallyport
