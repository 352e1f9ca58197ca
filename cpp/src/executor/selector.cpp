// The public Selector: a ReadyList, and the channels that report to it.
#include "ttsrt/selector.h"

#include <utility>

#include "executor/channel.h"
#include "executor/ready_list.h"

namespace ttsrt {

Selector::Selector() : list_(std::make_shared<ReadyList>()) {}
Selector::~Selector() = default;

void Selector::add(const Handle& handle, std::uint64_t key) {
  channel_of(handle.ticketed_)->report_to(std::make_unique<ReadyList::Entry>(list_, key));
}

void Selector::remove(const Handle& handle) {
  channel_of(handle.ticketed_)->stop_reporting_to(*list_);
}

std::vector<std::uint64_t> Selector::select() { return list_->wait(); }
void Selector::wake() { list_->wake(); }

}  // namespace ttsrt
