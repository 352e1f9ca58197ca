#include "executor/ready_list.h"

#include <utility>

namespace ttsrt {

ReadyList::Entry::Entry(std::shared_ptr<ReadyList> list, std::uint64_t key)
    : list_(std::move(list)) {
  const std::lock_guard<std::mutex> lock(list_->mutex_);
  node_ = list_->idle_.insert(list_->idle_.end(), {key, false});
}

ReadyList::Entry::~Entry() {
  const std::lock_guard<std::mutex> lock(list_->mutex_);
  (node_->is_ready ? list_->ready_ : list_->idle_).erase(node_);
}

void ReadyList::Entry::mark_ready() noexcept {
  {
    const std::lock_guard<std::mutex> lock(list_->mutex_);
    if (node_->is_ready) return;
    node_->is_ready = true;
    list_->ready_.splice(list_->ready_.end(), list_->idle_, node_);
  }
  list_->changed_.notify_one();
}

std::vector<std::uint64_t> ReadyList::wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return is_woken_ || !ready_.empty(); });
  std::vector<std::uint64_t> keys;
  keys.reserve(ready_.size());
  for (Entry::Node& node : ready_) {
    node.is_ready = false;
    keys.push_back(node.key);
  }
  idle_.splice(idle_.end(), ready_);
  is_woken_ = false;
  return keys;
}

void ReadyList::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_woken_ = true;
  }
  changed_.notify_one();
}

}  // namespace ttsrt
