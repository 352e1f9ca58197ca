// Marks what libttsrt.so exports. The library is built with hidden visibility, so only these names
// can be linked against.
#pragma once

#if defined(__GNUC__)
#define TTSRT_API __attribute__((visibility("default")))
#else
#define TTSRT_API
#endif
