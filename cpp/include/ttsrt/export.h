// Marks what libttsrt.so exports. The library is built with hidden visibility, so only these names
// can be linked against.
#pragma once

#define TTSRT_API [[gnu::visibility("default")]]
