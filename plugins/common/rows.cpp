#include "common/rows.h"

#include "cuda/launch.h"

namespace ttsrt::plugins {

StoreContext::StoreContext(StoreContextAttributes attributes) : OpOf(std::move(attributes)) {
  at_.launch.check(kName);
  at_.slots.check(kName);
  check_at_least(kName, "max_context_rows", 1, at_.slots.max_context_rows);
  check_at_least(kName, "dim", 1, at_.slots.dim);
  signature_.add_input({"x", Type::float32, {'R', at_.slots.dim}});
  at_.launch.add_to(signature_);
  at_.slots.add_to(signature_, at_.launch);
  at_.faults.add_to(signature_, at_.launch);
  add_token(signature_);
}

void StoreContext::enqueue(const Call& call) const {
  cuda::StoreContextArgs args;
  args.rows = at_.launch.view(call);
  args.slots = at_.slots.view(call, at_.launch);
  args.faults = at_.faults.view(call);
  args.x = call.input<const float>("x");
  args.width = at_.slots.dim;
  args.max_rows = call.rows();
  cuda::store_context(args, call.stream);
}

Unfold::Unfold(UnfoldAttributes attributes) : OpOf(std::move(attributes)) {
  at_.launch.check(kName);
  check_is_count(kName, "width", 1, at_.width);
  check_is_count(kName, "kernel", 1, at_.kernel);
  check_is_one_of(kName, "is_causal", 0, 1, at_.is_causal);
  check_is_one_of(kName, "has_history", 0, 1, at_.has_history);
  TTSRT_CHECK(ConfigError, at_.has_history == 0 || (at_.is_causal != 0 && at_.kernel > 1), kName,
              ": has_history: expected a causal kernel of 2 rows or more, got kernel ", at_.kernel,
              ", is_causal ", at_.is_causal);
  signature_.add_input({"x", Type::float32, {'R', at_.width}});
  at_.launch.add_to(signature_);
  if (at_.has_history != 0)
    signature_.add_input({"history", Type::float32, {'S', 2, at_.kernel - 1, at_.width}, true});
  signature_.add_output({"out", Type::float32, {'R', std::int64_t{at_.kernel} * at_.width}});
  add_token(signature_);
}

void Unfold::enqueue(const Call& call) const {
  cuda::UnfoldArgs args;
  args.rows = at_.launch.view(call);
  args.x = call.input<const float>("x");
  args.out = call.output<float>("out");
  args.width = at_.width;
  args.kernel = at_.kernel;
  args.is_causal = at_.is_causal != 0;
  if (at_.has_history != 0) args.history = {call.input<float>("history"), at_.kernel, at_.width};
  args.max_rows = call.rows();
  cuda::unfold(args, call.stream);
}

}  // namespace ttsrt::plugins
