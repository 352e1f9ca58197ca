// Checks that an action throws one kind of error, with a message that contains the needed facts.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "ttsrt/error.h"

namespace ttsrt::test {

// Whether `action` throws exactly a Kind whose message contains `part`.
template <typename Kind, typename Action>
::testing::AssertionResult throws_naming(const std::string& part, Action action) {
  try {
    action();
  } catch (const Kind& problem) {
    if (std::string(problem.what()).find(part) != std::string::npos)
      return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "expected \"" << part << "\" in: " << problem.what();
  } catch (const std::exception& problem) {
    return ::testing::AssertionFailure() << "another kind of error: " << problem.what();
  }
  return ::testing::AssertionFailure() << "nothing was thrown; expected: " << part;
}

// For broken files: `action` may succeed or throw FormatError; anything else is a failure.
template <typename Action>
::testing::AssertionResult survives(Action action) {
  try {
    action();
  } catch (const FormatError&) {
  } catch (const std::exception& problem) {
    return ::testing::AssertionFailure() << "not a FormatError: " << problem.what();
  }
  return ::testing::AssertionSuccess();
}

}  // namespace ttsrt::test
