// SHA-256 (FIPS 180-4) in lower-case hexadecimal.
#pragma once
#include <string>
#include <string_view>

namespace rustic::config {
std::string sha256(std::string_view bytes);
}
