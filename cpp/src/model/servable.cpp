#include "model/servable.h"

#include "core/check.h"
#include "ops/check.h"

namespace ttsrt::model {

std::unique_ptr<Itineraries> itineraries_of(const Family& family, const Limits& limits,
                                            const Weights* weights, const std::string& where) {
  try {
    return family.itineraries(limits, weights);
  } catch (const ConfigError& problem) {
    throw FormatError(message(where, ": defaults: ", problem.what()));
  }
}

void check_programs(const Family& family, const Weights& weights, const Limits& limits,
                    const std::string& where) {
  const ops::StateSpec state = family.state(limits, {});
  try {
    for (const FamilyProgram& of : family.programs(weights, limits, true))
      ops::check_program(of.program, state);
  } catch (const InternalError& problem) {
    throw FormatError(message(where, ": model: can't be run: ", problem.what()));
  }
}

}  // namespace ttsrt::model
