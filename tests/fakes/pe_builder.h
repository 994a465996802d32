// Builders of PE images: small valid ones from nothing, and UKIs by adding sections to an EFI stub
// as ukify and objcopy do. They share no code with ota/measure, so that tests compare two readings
// of the format.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pki/base/bytes.h"

namespace sallyport {

using PeContent = std::vector<std::pair<std::string, Bytes>>;

// BuildPe makes a PE32+ EFI application for x86-64 with these sections, file alignment 512.
Bytes BuildPe(const PeContent& sections);
// AppendSections adds sections behind those of `image`; aborts when its headers have no room for
// them.
Bytes AppendSections(Bytes image, const PeContent& sections);
// AppendCertificates adds an attribute certificate table of `size` bytes (a multiple of 8).
Bytes AppendCertificates(Bytes image, size_t size);

}  // namespace sallyport
