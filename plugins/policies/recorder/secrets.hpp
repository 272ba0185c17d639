// plugins/policies/recorder/secrets.hpp - masks what looks like a key before it is written.
#pragma once
#include <string>
#include <vector>

#include "recording.hpp"

namespace rustic::recorder {

// Replaces the characters of anything that has the shape of a well-known token (sk-..., ghp_...,
// AKIA..., Bearer ..., PRIVATE KEY blocks) by 'x', keeping every length, so that a token is found
// even where events split it. Returns how many were masked.
std::size_t hide_secrets(std::string& text);
std::size_t hide_secrets(exchange& one);

// The texts of an exchange, each stream of events (those of one kind and index) as a whole: what is
// hidden in them is found where events split it. Those that are put back have the same lengths.
std::vector<std::string> texts_of(const exchange& one);
void put_texts(exchange& one, const std::vector<std::string>& texts);
}  // namespace rustic::recorder
