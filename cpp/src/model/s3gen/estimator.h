// The estimator: what it makes of times, and one evaluation with the step of the state behind it.
#pragma once

#include "model/s3gen/programs.h"
#include "ops/program.h"

namespace ttsrt::model::s3gen {

// Rows are evaluations: the features of the time, and with mean flow those of the time where the
// step ends behind them.
ops::Program write_schedule(const Source& source, bool trace);
ops::Program write_flow(const Source& source, bool trace);

}  // namespace ttsrt::model::s3gen
