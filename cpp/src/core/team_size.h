// How many members of a team of threads take part in the next run, from what each of them lost.
//
// A member loses time when it is neither running nor waiting for others: the system runs another
// process on its core, a hypervisor took the core away, or a quota stops the whole group. The
// others wait for it at the next barrier. What a team does is the sum of what its members work;
// what a smaller one promises is
//
//     size x (1 - share that its latest member loses),
//
// as if all waited for that member. Where a quota stops the team, members also gain the time of
// those that rest. The size that promises most is taken if it promises more than what is done.
// Once in a while all take part again; where that was too early, the next attempt comes after twice
// the time.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace ttsrt {

// Seconds of a member in one run.
struct MemberTime {
  double worked = 0.0;  // neither lost nor spent waiting
  double lost = 0.0;
};

class TeamSize {
 public:
  // `quota`: cores whose time the system allows to this process, if it limits that.
  explicit TeamSize(std::int32_t num_members, std::optional<std::int32_t> quota = std::nullopt);

  // Members 0 to size() - 1 take part in the next run.
  std::int32_t size() const { return size_; }

  // Books a run of `seconds`, with the times of at least the size() members that took part. Asks
  // for no memory. Whether the size has changed.
  bool add(double seconds, const std::vector<MemberTime>& times);

  // After add() made the team smaller: pairs of members, one that goes on although it lost more and
  // one that rests. Members that are bound to cores exchange them.
  const std::vector<std::pair<std::int32_t, std::int32_t>>& exchanges() const { return exchanges_; }

 private:
  void close_window();
  std::int32_t best_size();
  void shrink_to(std::int32_t size);
  void grow();

  const std::int32_t num_members_;
  const std::optional<std::int32_t> quota_;
  std::int32_t size_;
  double seconds_ = 0.0;             // of the window
  std::vector<MemberTime> times_;    // [members] in the window
  std::vector<std::int32_t> order_;  // members, the one that lost least first
  std::vector<std::pair<std::int32_t, std::int32_t>> exchanges_;
  double rested_ = 0.0;    // seconds of runs since the size was changed
  double patience_;        // seconds of runs after which all take part again
  bool is_trial_ = false;  // the window is the first one of all since then
};

}  // namespace ttsrt
