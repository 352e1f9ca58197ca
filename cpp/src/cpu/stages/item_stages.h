// Stages of whole items that handle each row alone: rows of the slots, what a schedule adds and
// multiplies, the rows behind a text, steps of an integration.
#pragma once

#include <vector>

#include "cpu/stages/linear_stage.h"
#include "cpu/stages/stage.h"
#include "ops/program.h"

namespace ttsrt::cpu {

Modulation modulation_of(const ops::ModulatedNorm& op, std::int64_t width);

void add_load_rows(const Site& site, const ops::LoadRows& op, const Rows& out, Stages& stages);
void add_save_rows(const Site& site, const ops::SaveRows& op, const Rows& x, Stages& stages);
void add_store_schedule(const Site& site, const Rows& x, Stages& stages);
void add_modulated_norm(const Site& site, const ops::ModulatedNorm& op, const Rows& x,
                        const Rows& out, Stages& stages);
void add_modulated(const Site& site, const ops::AddModulated& op, const Rows& x, const Rows& out,
                   Stages& stages);
void add_clear_filler(const Site& site, const Rows& x, Stages& stages);
void add_stretch_text(const Site& site, const Rows& x, const Rows& out, Stages& stages);
void add_join_columns(const Site& site, std::vector<Rows> parts, const Rows& out, Stages& stages);
void add_activate_rows(const Site& site, const ops::ActivateRows& op, const Rows& x,
                       const Rows& out, Stages& stages);
void add_flow_step(const Site& site, const ops::FlowStep& op, const Rows& velocity, Stages& stages);

}  // namespace ttsrt::cpu
