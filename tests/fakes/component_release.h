// Releases with more than an image and a kernel: files beside the image, and firmware.
#pragma once

#include "tests/fakes/update_world.h"

namespace sallyport {

// WithFiles adds the components `app`, which `seed` chooses, and `maps`, which is always the same.
TestRelease WithFiles(TestRelease release, uint32_t seed);
// WithCapsule adds firmware of kTestFirmwareClass that brings `version`.
TestRelease WithCapsule(TestRelease release, uint32_t version);
// CapsuleOf is what WithCapsule adds for that version.
Bytes CapsuleOf(uint32_t version);

// MakeChunkRelease is `from` with something put in front and a part replaced, and no delta.
TestRelease MakeChunkRelease(const std::string& version, const TestRelease& from);

}  // namespace sallyport
