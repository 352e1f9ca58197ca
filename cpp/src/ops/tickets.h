// Numbers flights and checks that they are collected in order.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "ops/backend.h"

namespace ttsrt::ops {

class Tickets {
 public:
  explicit Tickets(std::int32_t depth) : depth_(depth) {}

  std::int32_t outstanding() const { return static_cast<std::int32_t>(last_ - collected_); }

  // Returns the ticket of a new flight. Throws InternalError if `depth` flights are outstanding.
  Ticket give() {
    TTSRT_CHECK(InternalError, outstanding() < depth_, "submit: ", outstanding(),
                " flights are outstanding, of at most ", depth_);
    return ++last_;
  }

  // Ends a flight. Throws InternalError unless it is the oldest outstanding one.
  void take(Ticket ticket) {
    TTSRT_CHECK(InternalError, outstanding() > 0 && ticket == collected_ + 1, "collect: ticket ",
                ticket, " isn't the oldest outstanding: ", outstanding(), " are, behind ticket ",
                collected_);
    ++collected_;
  }

 private:
  std::int32_t depth_;
  Ticket last_ = 0;
  Ticket collected_ = 0;
};

}  // namespace ttsrt::ops
