// Includes the whole public API of ttsrt.
#pragma once

#include "ttsrt/audio.h"
#include "ttsrt/bench.h"
#include "ttsrt/build.h"
#include "ttsrt/device.h"
#include "ttsrt/engine.h"
#include "ttsrt/error.h"
#include "ttsrt/executor.h"
#include "ttsrt/layer.h"
#include "ttsrt/memory.h"
#include "ttsrt/options.h"
#include "ttsrt/publish.h"
#include "ttsrt/request.h"
#include "ttsrt/selector.h"
#include "ttsrt/stats.h"
#include "ttsrt/tensor.h"
#include "ttsrt/text.h"
