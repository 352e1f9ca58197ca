// The symbols of a shared library, as binutils list them.
#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <string>

namespace ttsrt::test {

// `option` is "--defined-only" or "--undefined-only". Empty where binutils are missing.
inline std::set<std::string> symbols_of(const std::string& library, const std::string& option) {
  const std::string command = "nm --dynamic --format=posix " + option + " " + library + " 2>&1";
  std::unique_ptr<FILE, int (*)(FILE*)> out(popen(command.c_str(), "r"), pclose);
  std::set<std::string> names;
  std::array<char, 4096> line;
  while (out != nullptr && std::fgets(line.data(), line.size(), out.get()) != nullptr) {
    const std::string text = line.data();
    names.insert(text.substr(0, text.find_first_of(" @\n")));
  }
  return names;
}

}  // namespace ttsrt::test
