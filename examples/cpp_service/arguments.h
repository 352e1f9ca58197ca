// What the programs of this folder read from their command lines.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

// The whole text as a number; std::stoi alone would take "7x" for 7.
inline int number_from(const char* what, const std::string& text) {
  std::size_t end = 0;
  int number = 0;
  try {
    number = std::stoi(text, &end);
  } catch (const std::logic_error&) {
    end = 0;
  }
  if (end == 0 || end != text.size()) {
    throw std::invalid_argument(std::string(what) + ": expected an integer, got '" + text + "'");
  }
  return number;
}
