// A sequence on disk: its tokens and what the model remembers of them, so that a long conversation
// goes on later without reading it all again.
//
// Little-endian: magic "LMSESS1\n"; u32 fingerprint of the weights, KvType; u64 page bytes, numbers
// of tokens, pages, floats of recurrent state, source tokens, source pages, source positions, bytes
// of the note; then i32 tokens, i32 source tokens, f32 recurrent state, the pages, the note; CRC-32
// of all before.
#pragma once

#include <string>

#include "engine/infer/sequence.h"

namespace lm {

// note: what the caller wants to have back. Throws io; unsupported for texts with images or
// adapters.
void save_session(const Sequence& sequence, const std::string& note, const std::string& path);

// Makes the sequence what was saved and returns the note. Throws io, bad_file for anything that is
// not such a file or is damaged, bad_option for one of another model or type of keys and values, or
// longer than the context; out_of_memory. The sequence is empty then.
std::string restore_session(Sequence& sequence, const std::string& path);
// The same of a file's bytes; path: for messages.
std::string restore_session(Sequence& sequence, std::span<const std::byte> bytes,
                            const std::string& path);

}  // namespace lm
