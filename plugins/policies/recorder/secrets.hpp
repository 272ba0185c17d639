// plugins/policies/recorder/secrets.hpp - masks what looks like a key before it is written.
#pragma once
#include <string>

#include "recording.hpp"

namespace rustic::recorder {

// Replaces the characters of anything that has the shape of a well-known token (sk-..., ghp_...,
// AKIA..., Bearer ..., PRIVATE KEY blocks) by 'x', keeping every length, so that a token is found
// even where events split it. Returns how many were masked.
std::size_t hide_secrets(std::string& text);
std::size_t hide_secrets(exchange& one);
}  // namespace rustic::recorder
