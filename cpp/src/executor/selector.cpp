// The public Selector: a ReadyList, and the channels that report to it.
#include "ttsrt/selector.h"

#include "core/process.h"
#include "executor/channel.h"
#include "executor/ready_list.h"

namespace ttsrt {
namespace {

const HomeProcess& home_of(const std::shared_ptr<ReadyList>& list) {
  return std::get_deleter<DeleteAtHome>(list)->home;
}

}  // namespace

Selector::Selector() : list_(make_shared_at_home<ReadyList>()) {}
Selector::~Selector() = default;

void Selector::add(const Handle& handle, std::uint64_t key, Watch watch) {
  Channel& channel = channel_of(handle.ticketed_, "Selector::add");
  channel.report_to(std::make_unique<ReadyList::Entry>(list_, key), watch);
}

void Selector::remove(const Handle& handle) {
  channel_of(handle.ticketed_, "Selector::remove").stop_reporting_to(*list_);
}

void Selector::remove(const Handle& handle, std::uint64_t key) {
  channel_of(handle.ticketed_, "Selector::remove").stop_reporting_to(*list_, key);
}

std::vector<std::uint64_t> Selector::select() {
  home_of(list_).check("select", "Selector");
  return list_->wait();
}

void Selector::wake() {
  home_of(list_).check("wake", "Selector");
  list_->wake();
}

}  // namespace ttsrt
