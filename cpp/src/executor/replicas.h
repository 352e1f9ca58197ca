// The replicas of an executor: networks of one engine, each on a device with a loop of its own,
// behind one queue.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "executor/intake.h"
#include "executor/loop.h"
#include "executor/sequence.h"
#include "model/network.h"
#include "model/speculation.h"
#include "ttsrt/stats.h"

namespace ttsrt::executor {

class Replicas {
 public:
  // The networks are of the same engine and limits; at least one. The drafter has one for each of
  // them, or none.
  Replicas(std::vector<std::unique_ptr<model::Network>> networks, const LoopOptions& options,
           model::Drafter&& drafter = {});

  std::vector<const model::NetworkInfo*> networks() const;
  std::vector<const model::NetworkInfo*> drafts() const;
  // As Intake.
  void submit(Pending pending);
  void check_accepts() { intake_.check_accepts(); }
  void check_open(const char* call) const { intake_.check_open(call); }
  ExecutorStats stats() const;
  // Waits for the end of all loops, for at most `timeout` seconds if given; whether they have
  // ended.
  bool close(bool drain, std::optional<double> timeout = std::nullopt);

 private:
  Intake intake_;
  const std::shared_ptr<const void> draft_engine_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace ttsrt::executor
