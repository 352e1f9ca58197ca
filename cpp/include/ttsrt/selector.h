// One thread that waits for many requests at once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ttsrt/executor.h"
#include "ttsrt/export.h"

namespace ttsrt {

class ReadyList;

/// What of a request a selector reports.
enum class Watch : std::int32_t {
  events,  ///< that it has something to take
  end      ///< that it has ended, once; its events may be taken or not
};

/// Waits for many requests at once and says which of them have something to take: one thread can
/// then serve any number of streams, of one executor or of several. All methods are thread safe.
/// In a forked child they throw ClosedError.
class TTSRT_API Selector {
 public:
  Selector();
  ~Selector();
  Selector(const Selector&) = delete;
  Selector& operator=(const Selector&) = delete;

  /// Watches a request under a key that the caller chooses, until remove() or until the request is
  /// gone. A request may be watched under several keys and by several selectors; adding it again
  /// under the same key replaces what was there. Throws ConfigError if the handle is empty.
  void add(const Handle& handle, std::uint64_t key, Watch watch = Watch::events);
  /// Stops watching a request, under all keys or under one. Throws ConfigError if the handle is
  /// empty.
  void remove(const Handle& handle);
  void remove(const Handle& handle, std::uint64_t key);

  /// Waits until a watched request has something to take, or until wake(), and returns the keys.
  /// A key is reported when the first event arrives after there was none, so take events with
  /// Handle::next_for(0) until it times out or the request has ended. Now and then a reported
  /// request has nothing to take, because another call took it meanwhile.
  std::vector<std::uint64_t> select();
  /// Ends the select() that waits now, or else the next one; it may return no key.
  void wake();

 private:
  std::shared_ptr<ReadyList> list_;
};

}  // namespace ttsrt
