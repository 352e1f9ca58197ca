// The watched requests of one selector, and which of them have something to take. Marking a request
// ready allocates nothing: its node moves from one list to the other.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace ttsrt {

class ReadyList {
 public:
  // One watched request. It leaves the list when it is destroyed. The owner may hold its own lock
  // while it calls mark_ready(): a ReadyList never calls out.
  class Entry {
   public:
    Entry(std::shared_ptr<ReadyList> list, std::uint64_t key);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    std::uint64_t key() const { return node_->key; }
    bool belongs_to(const ReadyList& list) const { return list_.get() == &list; }
    bool is_same(const Entry& other) const { return list_ == other.list_ && key() == other.key(); }
    void mark_ready() noexcept;

   private:
    struct Node {
      std::uint64_t key;
      bool is_ready;
    };
    friend class ReadyList;

    const std::shared_ptr<ReadyList> list_;
    std::list<Node>::iterator node_;
  };

  // The keys marked since the last call; waits until there is one, or for wake().
  std::vector<std::uint64_t> wait();
  void wake();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Entry::Node> idle_;
  std::list<Entry::Node> ready_;
  bool is_woken_ = false;
};

}  // namespace ttsrt
