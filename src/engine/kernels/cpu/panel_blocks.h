// One row's block of a quantized type taken apart, and its place in a panel.
#pragma once

#include <cstdint>

#include "engine/kernels/cpu/panel_format.h"

namespace lm {

// Codes in the order of k; scales and minimums as the panel's header keeps them, one for each
// sub-block.
struct QuantBlock {
  uint16_t d = 0, m = 0;  // f16 bits; d is the byte of E8M0 scales
  uint8_t scale[16] = {}, min[16] = {};
  alignas(32) uint8_t code[256] = {};
};

// Copies a row of the file, `blocks` blocks, into lane r (0 .. 15) of a panel. `kind` quantized.
void pack_row(PanelKind kind, const uint8_t* file, int64_t blocks, int r, uint8_t* panel);
// Lane r of the panel's block.
void get_block(const PanelFormat& format, const uint8_t* panel, int r, QuantBlock* block);
// The block's numbers, bit for bit as the file's type defines them.
void block_to_f32(const PanelFormat& format, const QuantBlock& block, float* out);

}  // namespace lm
