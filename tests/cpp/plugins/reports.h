// What the plugins report while it lives.
#pragma once

#include <string>
#include <vector>

#include "common/report.h"

namespace ttsrt::plugins::test {

class Reports {
 public:
  Reports() {
    all().clear();
    set_reporter([](const char* message) noexcept { all().emplace_back(message); });
  }
  ~Reports() { set_reporter(nullptr); }
  Reports(const Reports&) = delete;
  Reports& operator=(const Reports&) = delete;

  std::string last() const { return all().empty() ? "" : all().back(); }
  std::size_t count() const { return all().size(); }

 private:
  static std::vector<std::string>& all() {
    static std::vector<std::string> messages;
    return messages;
  }
};

}  // namespace ttsrt::plugins::test
