// How many members of a team of threads take part in the next run, from what each of them lost.
//
// A member loses time when it is neither running nor waiting for others: the system runs another
// process on its core, a hypervisor took the core away, or a quota stops the whole group. All
// others wait for it at the next barrier, so that a team of 16 of which one has half a core is as
// fast as one of 8. With the losses of a window of runs, sorted, the best size is the one with the
// largest
//
//     size x (1 - share that its latest member loses),
//
// where members that are not bound to cores also gain the time that the dismissed ones had. Once in
// a while all take part again; where that was too early, the next attempt comes after twice the
// time.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace ttsrt {

class TeamSize {
 public:
  // Pinned members keep what they lose when others rest.
  TeamSize(std::int32_t num_members, bool is_pinned);

  // Members 0 to size() - 1 take part in the next run.
  std::int32_t size() const { return size_; }

  // Books a run of `seconds`, in which member i, of the size() that took part, lost lost[i] of
  // them. Asks for no memory. Whether the size has changed.
  bool add(double seconds, const std::vector<double>& lost);

  // After add() made the team smaller: pairs of members, one that goes on although it lost more and
  // one that rests. Pinned members exchange their cores.
  const std::vector<std::pair<std::int32_t, std::int32_t>>& exchanges() const { return exchanges_; }

 private:
  void close_window();
  std::int32_t best_size();
  void shrink_to(std::int32_t size);
  void grow();

  const std::int32_t num_members_;
  const bool is_pinned_;
  std::int32_t size_;
  double seconds_ = 0.0;             // of the window
  std::vector<double> lost_;         // [members] of the window; then shares of it
  std::vector<std::int32_t> order_;  // members, the one that lost least first
  std::vector<std::pair<std::int32_t, std::int32_t>> exchanges_;
  double rested_ = 0.0;    // seconds of runs since the size was changed
  double patience_;        // seconds of runs after which all take part again
  bool is_trial_ = false;  // the window is the first one since then
};

}  // namespace ttsrt
