// A model::Network that computes nothing: it keeps books of a paged cache, checks every batch
// against them, and yields codes that depend on a request's seed and step alone. Launches run on a
// thread of their own, in order, some time after they were launched and before they are collected.
// Tests hold it, fail it and look at what it was sent through its Control.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "core/check.h"
#include "model/network.h"
#include "support/fake_control.h"
#include "support/fake_device.h"

namespace ttsrt::test {

class FakeNetwork final : public model::Network {
 public:
  FakeNetwork(FakeOptions options, std::shared_ptr<Control> control)
      : control_(std::move(control)), device_(options) {
    info_.device = options.device;
    info_.pipeline_depth = options.depth;
    info_.slots = options.slots;
    info_.paused_slots = options.paused_slots;
    info_.num_blocks = options.num_blocks;
    info_.block_size = options.block_size;
    info_.programs = options.programs;
    info_.facts = options.facts;
    thread_ = std::thread([this] { run(); });
  }
  ~FakeNetwork() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_closed_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  const model::NetworkInfo& info() const override { return info_; }

  model::Ticket launch(const step::StepBatch& batch) override {
    control_->begin_launch(batch);
    const std::lock_guard<std::mutex> lock(mutex_);
    TTSRT_CHECK(InternalError, num_open_ < info_.pipeline_depth, "fake: ", num_open_,
                " launches are in flight");
    control_->tell_open(++num_open_);
    queue_.push_back({++last_ticket_, &batch});
    changed_.notify_all();
    return last_ticket_;
  }

  const step::StepOutput& collect(model::Ticket ticket) override {
    std::unique_lock<std::mutex> lock(mutex_);
    TTSRT_CHECK(InternalError, ticket == last_collected_ + 1 && ticket <= last_ticket_,
                "collect: an unknown ticket");
    last_collected_ = ticket;
    --num_open_;
    changed_.wait(lock, [&] { return !done_.empty(); });
    Done done = std::move(done_.front());
    done_.pop_front();
    if (done.failure) std::rethrow_exception(done.failure);
    output_ = std::move(done.output);
    return output_;
  }

 private:
  struct Queued {
    model::Ticket ticket = 0;
    const step::StepBatch* batch = nullptr;
  };
  struct Done {
    step::StepOutput output;
    std::exception_ptr failure;
  };

  void run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !queue_.empty() || is_closed_; });
      if (queue_.empty()) return;
      const Queued next = queue_.front();
      queue_.pop_front();
      lock.unlock();
      Done done;
      try {
        if (control_->delay()) {
          device_.spoil(*next.batch);
          throw std::runtime_error("the run failed");
        }
        done.output = device_.run(*next.batch);
      } catch (...) {
        done.failure = std::current_exception();
      }
      lock.lock();
      done_.push_back(std::move(done));
      changed_.notify_all();
    }
  }

  std::shared_ptr<Control> control_;
  FakeDevice device_;
  model::NetworkInfo info_;
  step::StepOutput output_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Queued> queue_;
  std::deque<Done> done_;
  model::Ticket last_ticket_ = 0;
  model::Ticket last_collected_ = 0;
  std::int32_t num_open_ = 0;
  bool is_closed_ = false;
  std::thread thread_;
};

}  // namespace ttsrt::test
