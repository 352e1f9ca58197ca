// How many members of a team of threads take part in the next run, from what each of them lost.
//
// A member loses time when it is neither running nor waiting for others: the system runs another
// process on its core, a hypervisor took the core away, or a quota stops the whole group. The
// others wait for it at the next barrier. The work of a team is the sum of the times that its
// members work. A smaller team promises
//
//     size x (1 - share of its time that the member loses which loses most),
//
// as if all waited for that member. If a quota stops the team, members also gain the time of those
// that rest. The size that promises most is taken if it promises more than the work that is done.
// After some time all members take part again; if the team then shrinks at once, the next attempt
// comes after twice that time.
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

  // After add() made the team smaller: pairs of a member that goes on although it lost much and one
  // that rests although it lost little. If they are bound to cores, they exchange these.
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
