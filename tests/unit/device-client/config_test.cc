#include "device-client/config.h"

#include "pki/base/file_system.h"
#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

constexpr std::string_view kSmallest =
    "sallyport: agent/v1\n"
    "state: /var/lib/sallyport\n"
    "tcti: device:/dev/tpmrm0\n"
    "enrolment_file: /etc/sallyport/enrolment.json\n"
    "hardware: virtual-x86_64\n"
    "update: {slot_a: /dev/a, slot_b: /dev/b, esp: /efi, efivars: /sys/firmware/efi/efivars}\n";

// Parse reads the smallest configuration with `more` behind it.
Result<Config> Parse(std::string_view more) {
  std::string text(kSmallest);
  text.append(more);
  return ParseConfig(text, "agent.yaml");
}

std::string DetailOf(const Result<Config>& config) { return config ? "" : config.error().detail; }

TEST(AgentConfig, HasDefaultsForWhatMayBeLeftOut) {
  const Config config = *Parse("");

  EXPECT_EQ(config.state, "/var/lib/sallyport");
  EXPECT_EQ(config.event_log, "/sys/kernel/security/tpm0/binary_bios_measurements");
  EXPECT_EQ(config.ima_list, "/sys/kernel/security/integrity/ima/binary_runtime_measurements");
  EXPECT_EQ(config.ek, pki::EkTemplate::kL2P256);
  EXPECT_EQ(config.backoff_max, Minutes(5));
  EXPECT_EQ(config.proxy.listen, "0.0.0.0:15008");
  EXPECT_EQ(config.update.slot_b, "/dev/b");
}

TEST(AgentConfig, ReadsWhatIsThere) {
  const Config config = *Parse(
      "event_log: /log\n"
      "ima_list: /ima\n"
      "ek: rsa-2048\n"
      "backoff_max: 2s\n"
      "log_level: debug\n"
      "advertise: 10.0.0.1:15008\n"
      "proxy:\n"
      "  listen: 127.0.0.1:15009\n"
      "  inbound: {video: 127.0.0.1:8080}\n"
      "  outbound: [{service: video, to: cam-1, listen: 127.0.0.1:9000}]\n");

  EXPECT_EQ(config.event_log, "/log");
  EXPECT_EQ(config.ima_list, "/ima");
  EXPECT_EQ(config.ek, pki::EkTemplate::kL1Rsa2048);
  EXPECT_EQ(config.backoff_max, Seconds(2));
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.advertise, "10.0.0.1:15008");
  EXPECT_EQ(config.proxy.listen, "127.0.0.1:15009");
  EXPECT_EQ(config.proxy.inbound.at("video"), "127.0.0.1:8080");
  ASSERT_EQ(config.proxy.outbound.size(), 1u);
  EXPECT_EQ(config.proxy.outbound[0].to, "cam-1");
}

TEST(AgentConfig, KnowsTheEksOfBothRanges) {
  const auto ek = [](const std::string& word) { return Parse("ek: " + word + "\n")->ek; };
  EXPECT_EQ(ek("p-256"), pki::EkTemplate::kL2P256);
  EXPECT_EQ(ek("p-256-high"), pki::EkTemplate::kH2P256);
  EXPECT_EQ(ek("rsa-2048-high"), pki::EkTemplate::kH1Rsa2048);
  EXPECT_EQ(ek("p-384"), pki::EkTemplate::kH3P384);
  EXPECT_EQ(ek("rsa-3072"), pki::EkTemplate::kH6Rsa3072);
  EXPECT_EQ(ek("rsa-4096"), pki::EkTemplate::kH7Rsa4096);
}

TEST(AgentConfig, NamesFileLineAndKeyOfEveryFinding) {
  const std::string detail = DetailOf(Parse("backof_max: 2s\nek: p-521\n"));

  EXPECT_NE(detail.find("agent.yaml:7:"), std::string::npos) << detail;
  EXPECT_NE(detail.find("backof_max"), std::string::npos) << detail;
  EXPECT_NE(detail.find("agent.yaml:8:"), std::string::npos) << detail;
}

TEST(AgentConfig, RefusesMissingKeysAndValuesOutOfRange) {
  EXPECT_NE(DetailOf(ParseConfig("sallyport: agent/v1\n", "agent.yaml")).find("tcti"),
            std::string::npos);
  EXPECT_NE(DetailOf(Parse("backoff_max: 2h\n")), "");
  EXPECT_NE(DetailOf(Parse("advertise: nonsense\n")), "");
  EXPECT_NE(DetailOf(ParseConfig("sallyport: agent/v2\n", "agent.yaml")).find("agent.yaml:1:"),
            std::string::npos);
}

// Update reads a configuration whose section `update` has the slots and `more`.
Result<Config> Update(const std::string& more) {
  std::string text(kSmallest.substr(0, kSmallest.find("update:")));
  return ParseConfig(text + "update: {slot_a: /dev/a, slot_b: /dev/b, esp: /efi, " + more + "}\n",
                     "agent.yaml");
}

TEST(AgentConfig, NamesTheBootLoaderAndItsPlace) {
  EXPECT_EQ(UpdatePathsOf(*Parse("")).boot, BootLoaderKind::kEfi);
  EXPECT_EQ(UpdatePathsOf(*Update("boot: efi, efivars: /v")).efivars, "/v");
  EXPECT_EQ(UpdatePathsOf(*Update("boot: systemd-boot, efivars: /v")).boot,
            BootLoaderKind::kSystemdBoot);
  const UpdatePaths uboot = UpdatePathsOf(*Update("boot: u-boot, uboot_env: /etc/fw_env.config"));
  EXPECT_EQ(uboot.boot, BootLoaderKind::kUBoot);
  EXPECT_EQ(uboot.uboot_env, "/etc/fw_env.config");
  const UpdatePaths grub = UpdatePathsOf(*Update("boot: grub, grubenv: /boot/grub/grubenv"));
  EXPECT_EQ(grub.boot, BootLoaderKind::kGrub);
  EXPECT_EQ(grub.grubenv, "/boot/grub/grubenv");
}

TEST(AgentConfig, RefusesABootLoaderWithoutItsPlaceOrWithAnothers) {
  const auto finds = [](const std::string& more, const std::string& what) {
    const std::string detail = DetailOf(Update(more));
    return detail.find(what) != std::string::npos ? "found" : detail;
  };
  EXPECT_EQ(finds("boot: efi", "'efivars' is missing"), "found");
  EXPECT_EQ(finds("boot: systemd-boot", "'efivars' is missing"), "found");
  EXPECT_EQ(finds("boot: u-boot", "'uboot_env' is missing"), "found");
  EXPECT_EQ(finds("boot: grub", "'grubenv' is missing"), "found");
  EXPECT_EQ(finds("boot: grub, grubenv: /g, efivars: /v", "'efivars' is not used"), "found");
  EXPECT_EQ(finds("boot: efi, efivars: /v, uboot_env: /u", "'uboot_env' is not used"), "found");
  EXPECT_EQ(finds("efivars: /v, grubenv: /g", "'grubenv' is not used"), "found");
  EXPECT_NE(DetailOf(Update("boot: lilo, efivars: /v")), "");
}

TEST(AgentConfig, GivesComponentsAPlaceInEachSlot) {
  const auto config =
      Update("efivars: /v, components: {app: {slot_a: /apps/a.img, slot_b: /apps/b.img}}");
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(UpdatePathsOf(*config).components.at("app").Of(ota::Slot::kB), "/apps/b.img");
  EXPECT_NE(
      DetailOf(Update("efivars: /v, components: {app: {slot_a: /apps/a.img}}")).find("slot_b"),
      std::string::npos);
  EXPECT_NE(DetailOf(Update("efivars: /v, components: [app]")), "");
}

Result<Config> ParseTrial(const std::string& more) { return Update("efivars: /vars, " + more); }

TEST(AgentConfig, ReadsHowATrialIsJudged) {
  const TrialSettings trial =
      ParseTrial(
          "health: {timeout: 5m, units: [a.service], probes: [{name: web, command: [/bin/web, "
          "-x]}, "
          "{name: port, tcp: \"127.0.0.1:80\", timeout: 2s}]}, watchdog: /dev/watchdog, "
          "previous_log: journal")
          ->update.trial;
  EXPECT_EQ(trial.health.timeout, Minutes(5));
  EXPECT_EQ(trial.health.units, std::vector<std::string>{"a.service"});
  ASSERT_EQ(trial.health.probes.size(), 2u);
  EXPECT_EQ(trial.health.probes[0].command, (std::vector<std::string>{"/bin/web", "-x"}));
  EXPECT_EQ(trial.health.probes[0].timeout, Seconds(10));
  EXPECT_EQ(trial.health.probes[1].tcp, "127.0.0.1:80");
  EXPECT_EQ(trial.watchdog, "/dev/watchdog");
  EXPECT_EQ(trial.previous_log, "journal");
}

TEST(AgentConfig, ReadsWhenAnUpdateMayTakePlace) {
  const TrialSettings trial =
      ParseTrial(
          "hooks: {before_install: /a, before_reboot: /b, after_commit: /c, after_rollback: /d, "
          "timeout: 5s}, inhibit: /run/inhibit, drain: {command: [/drain], timeout: 1h}, "
          "windows: {install: [{days: [sat, sun], start: \"00:00\", duration: 1d, tz: UTC}], "
          "reboot: [{days: [mon], start: \"02:30\", duration: 3h}], reboot_takes: 20m}")
          ->update.trial;
  EXPECT_EQ(trial.hooks.before_install, "/a");
  EXPECT_EQ(trial.hooks.before_reboot, "/b");
  EXPECT_EQ(trial.hooks.after_commit, "/c");
  EXPECT_EQ(trial.hooks.after_rollback, "/d");
  EXPECT_EQ(trial.hooks.timeout, Seconds(5));
  EXPECT_EQ(trial.inhibit, "/run/inhibit");
  EXPECT_EQ(trial.drain.command, std::vector<std::string>{"/drain"});
  EXPECT_EQ(trial.drain.timeout, Hours(1));
  ASSERT_EQ(trial.windows.install.size(), 1u);
  EXPECT_EQ(trial.windows.install[0].days, 0b1100000);
  EXPECT_EQ(trial.windows.install[0].zone, "UTC");
  ASSERT_EQ(trial.windows.reboot.size(), 1u);
  EXPECT_EQ(trial.windows.reboot[0].start_minute, 150);
  EXPECT_EQ(trial.windows.reboot[0].duration, Hours(3));
  EXPECT_EQ(trial.windows.reboot[0].zone, "local");
  EXPECT_EQ(trial.windows.reboot_takes, Minutes(20));
}

TEST(AgentConfig, RefusesATrialThatCannotBeMeant) {
  for (const std::string wrong :
       {"health: {probes: [{name: web}]}",
        "health: {probes: [{name: web, command: [/x], tcp: \"127.0.0.1:80\"}]}",
        "health: {probes: [{name: web, command: [web]}]}", "health: {probes: [{command: [/x]}]}",
        "health: {timeout: 3h}", "hooks: {before_reboot: relative}", "drain: {timeout: 1h}",
        "drain: {command: []}", "windows: {reboot: [{days: [], start: \"02:00\", duration: 1h}]}",
        "windows: {reboot: [{days: [moo], start: \"02:00\", duration: 1h}]}",
        "windows: {reboot: [{days: [mon], start: \"24:00\", duration: 1h}]}",
        "windows: {reboot: [{days: [mon], start: \"2:00\", duration: 1h}]}",
        "windows: {reboot: [{days: [mon], start: \"02:60\", duration: 1h}]}",
        "windows: {reboot: [{days: [mon], start: \"02:00\", duration: 90s}]}",
        "windows: {reboot: [{days: [mon], start: \"02:00\", duration: 2d}]}",
        "windows: {reboot: [{days: [mon], start: \"02:00\"}]}", "watchdog: watchdog0",
        "previous_log: here", "healthy: {}"}) {
    const Result<Config> config = ParseTrial(wrong);
    ASSERT_FALSE(config) << wrong;
    EXPECT_NE(config.error().detail.find("agent.yaml:6:"), std::string::npos) << wrong;
  }
}

TEST(AgentConfig, IsDocumented) {
  PosixFileSystem files;
  const Bytes document =
      *ReadFile(files, SALLYPORT_SOURCE_DIR "/docs/operations/config.md", 1 << 20);

  EXPECT_NE(AsText(document).find(DescribeConfig()), std::string_view::npos);
}

// Download parses the smallest configuration with `more` among its update keys.
Result<Config> Download(const std::string& more) {
  std::string text(kSmallest);
  text.insert(text.rfind('}'), ", " + more);
  return ParseConfig(text, "agent.yaml");
}

TEST(AgentConfig, ReadsFromWhereUpdatesAreLoaded) {
  const DownloadSettings settings =
      Download(
          "mirrors: [{url: 'https://a.example/x', ca_file: /ca.pem}, {url: 'https://b.example'}], "
          "peers: ['127.0.0.1:15021'], proxy: 'https://user:word@10.0.0.1:3128', proxy_ca_file: "
          "/p.pem, "
          "minimum_rate: 2KB/s, time_zone: Europe/Berlin, download_deadline: 2d, bandwidth: "
          "[{from: '22:00', to: '06:00', limit: unlimited}, {from: '06:00', to: '22:00', "
          "limit: 1MB/s}, {from: '12:00', to: '13:00', limit: 0}]")
          ->update.download;

  ASSERT_EQ(settings.mirrors.size(), 2u);
  EXPECT_EQ(settings.mirrors[0].url, "https://a.example/x");
  EXPECT_EQ(settings.mirrors[0].ca_file, "/ca.pem");
  EXPECT_EQ(settings.mirrors[1].ca_file, "");
  EXPECT_EQ(settings.peers, std::vector<std::string>{"127.0.0.1:15021"});
  EXPECT_EQ(settings.proxy, "https://user:word@10.0.0.1:3128");
  EXPECT_EQ(settings.proxy_ca_file, "/p.pem");
  EXPECT_EQ(settings.rate_min, 2'000u);
  EXPECT_EQ(settings.time_zone, "Europe/Berlin");
  EXPECT_EQ(settings.deadline, Days(2));
  ASSERT_EQ(settings.bandwidth.size(), 3u);
  const BandwidthPlan plan(settings.bandwidth);
  EXPECT_EQ(plan.At(23 * 60), kUnlimitedRate);
  EXPECT_EQ(plan.At(7 * 60), 1'000'000u);
  EXPECT_EQ(plan.At(12 * 60 + 30), 0u);
}

TEST(AgentConfig, ReadsTheSiteCache) {
  const SiteCacheSettings cache =
      Download(
          "site_cache: {directory: /var/cache/sallyport, size_max: 4GB, listen: '127.0.0.1:15020'}")
          ->update.download.site_cache;
  EXPECT_EQ(cache.directory, "/var/cache/sallyport");
  EXPECT_EQ(cache.size_max, 4'000'000'000u);
  EXPECT_EQ(cache.listen, "127.0.0.1:15020");
}

TEST(AgentConfig, RefusesDownloadsThatCannotBeMeant) {
  for (const char* more :
       {"mirrors: [{url: 'http://a.example'}]",
        "mirrors: [{url: 'https://'}]",
        "mirrors: [{}]",
        "mirrors: [{url: 'https://me:secret@a.example'}]",
        "mirrors: [{url: 'https://a/?b'}]",
        "mirrors: 'https://a.example'",
        "peers: '127.0.0.1:1'",
        "peers: [nowhere]",
        "proxy: 'socks5://a:1'",
        "proxy: 'https://'",
        "proxy_ca_file: /p.pem",
        "proxy: 'http://a:1', proxy_ca_file: /p.pem",
        "minimum_rate: 17KB/s",
        "minimum_rate: 10",
        "time_zone: /etc/passwd",
        "time_zone: '../../etc/passwd'",
        "download_deadline: 1s",
        "bandwidth: [{from: '22:00', to: '06:00', limit: 15KB/s}]",
        "bandwidth: [{from: '22:00', to: '24:00', limit: 0}]",
        "bandwidth: [{from: '22:00', limit: 0}]",
        "site_cache: {directory: /c, size_max: 1MB, listen: '127.0.0.1:15020'}",
        "site_cache: {directory: /c, size_max: 4GB, listen: '0.0.0.0:15020'}",
        "site_cache: {directory: /c, size_max: 4GB}",
        "site_cache: {directory: /c, size_max: 4GB, listen: '127.0.0.1:15020'}, peers: "
        "['127.0.0.1:15021']"})
    EXPECT_FALSE(Download(more)) << more;
}

}  // namespace
}  // namespace sallyport::device
