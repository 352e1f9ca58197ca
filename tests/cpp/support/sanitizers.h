// Whether the tests run under a sanitizer, which makes them slow.
#pragma once

namespace ttsrt::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace ttsrt::test
