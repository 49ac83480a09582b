#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace odis {

/// Numbered slots for values that JavaScript refers to by handle.
///
/// A handle is generation * 2^24 + slot, an integer that a double holds exactly. Freeing a slot
/// moves its generation on, so an old handle is recognised for ever and never reaches another
/// value: use after free is a lookup that fails, not a crash.
template <class Value>
class Table {
 public:
  double put(Value value) {
    uint32_t slot;
    if (vacant_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      slot = vacant_.back();
      vacant_.pop_back();
    }
    slots_[slot].value = std::move(value);
    slots_[slot].used = true;
    ++live_;
    return static_cast<double>(slots_[slot].generation) * kSlots + slot;
  }

  /// The value behind a handle, or nullptr when it was freed or never given out.
  Value* find(double handle) {
    Slot* slot = locate(handle);
    return slot ? &slot->value : nullptr;
  }

  /// What V8 was told that this value weighs; nullptr as in `find`.
  int64_t* reported(double handle) {
    Slot* slot = locate(handle);
    return slot ? &slot->reported : nullptr;
  }

  /// Moves the value out and frees its slot; `false` when there was nothing to free.
  bool take(double handle, Value& value, int64_t& reported) {
    Slot* slot = locate(handle);
    if (!slot) return false;
    value = std::move(slot->value);
    reported = slot->reported;
    slot->value = Value();
    slot->reported = 0;
    slot->used = false;
    // A slot whose generations are used up is retired rather than reused.
    if (++slot->generation < kGenerations) vacant_.push_back(static_cast<uint32_t>(slot - slots_.data()));
    --live_;
    return true;
  }

  size_t live() const { return live_; }
  bool full() const { return vacant_.empty() && slots_.size() >= kSlots; }

  template <class Visit>
  void each(Visit visit) const {
    for (const Slot& slot : slots_)
      if (slot.used) visit(slot.value);
  }

 private:
  static constexpr uint32_t kSlots = 1u << 24;
  static constexpr uint32_t kGenerations = 1u << 28;

  struct Slot {
    Value value;
    int64_t reported = 0;
    uint32_t generation = 1;
    bool used = false;
  };

  Slot* locate(double handle) {
    if (!(handle >= kSlots) || handle >= static_cast<double>(kGenerations) * kSlots) return nullptr;
    const auto whole = static_cast<uint64_t>(handle);
    if (static_cast<double>(whole) != handle) return nullptr;
    const uint64_t index = whole % kSlots;
    if (index >= slots_.size()) return nullptr;
    Slot& slot = slots_[index];
    return slot.used && slot.generation == whole / kSlots ? &slot : nullptr;
  }

  std::vector<Slot> slots_;
  std::vector<uint32_t> vacant_;
  size_t live_ = 0;
};

}  // namespace odis
