#include "kernel/call_slab.hpp"

#include <algorithm>

namespace rustic::kernel {

bool event_backlog::push(const rai_event& event) {
  if (count_ >= max_backlog_events || bytes_ + event.text.len > max_backlog_bytes) return false;
  if (count_ == ring_.size()) {
    std::rotate(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(first_), ring_.end());
    first_ = 0;
    ring_.resize(std::max<std::size_t>(8, ring_.size() * 2));
  }
  item& at = ring_[(first_ + count_) % ring_.size()];
  at.event = event;
  at.text.assign(event.text.len == 0 ? "" : event.text.ptr, event.text.len);
  bytes_ += at.text.size();
  ++count_;
  return true;
}

rai_event event_backlog::pop(std::string& text) {
  item& at = ring_[first_];
  rai_event event = at.event;
  bytes_ -= at.text.size();
  text.swap(at.text);
  event.text = {text.data(), text.size()};
  first_ = (first_ + 1) % ring_.size();
  --count_;
  return event;
}

void event_backlog::clear() noexcept {
  // Ends with the call: what one slow caller needed is not kept for the next use of the slot.
  std::vector<item>().swap(ring_);
  first_ = count_ = bytes_ = 0;
}

call_slab::call_slab(std::uint64_t salt) : first_life_(salt % (std::uint64_t{1} << 32)) {}

call_slab::~call_slab() {
  for (auto& chunk : chunks_) {
    call_slot** const slots = chunk.load(std::memory_order_relaxed);
    if (slots == nullptr) continue;
    for (std::size_t i = 0; i < slots_per_chunk; ++i) {
      shared_context::drop(slots[i]->context);
      delete slots[i];
    }
    delete[] slots;
  }
}

call_slot* call_slab::take() {
  shard& own = shards_[thread_shard()];
  {
    const std::lock_guard hold(own.lock);
    if (call_slot* const slot = own.first) {
      own.first = slot->next_free;
      --own.count;
      return slot;
    }
  }
  return refill(own);
}

call_slot* call_slab::refill(shard& own) {
  const std::lock_guard hold(mutex_);
  if (spare_ == nullptr && next_chunk_ < chunk_count) {
    auto slots = std::make_unique<call_slot*[]>(slots_per_chunk);
    const auto first = static_cast<std::uint32_t>(next_chunk_ * slots_per_chunk);
    for (std::uint32_t i = slots_per_chunk; i-- > 0;) {
      slots[i] = new call_slot(first + i, first_life_);
      slots[i]->next_free = spare_;
      spare_ = slots[i];
    }
    chunks_[next_chunk_++].store(slots.release(), std::memory_order_release);
  }
  if (spare_ == nullptr) {
    // All are taken or lie in the shards of other threads.
    for (auto& other : shards_) {
      if (&other == &own) continue;
      const std::lock_guard steal(other.lock);
      spare_ = other.first;
      other.first = nullptr;
      other.count = 0;
      if (spare_ != nullptr) break;
    }
  }
  call_slot* const slot = spare_;
  if (slot == nullptr) return nullptr;
  spare_ = slot->next_free;
  // A few more for the next calls of this thread.
  const std::lock_guard fill(own.lock);
  for (std::size_t i = 0; i < max_shard_slots / 4 && spare_ != nullptr; ++i) {
    call_slot* const more = spare_;
    spare_ = more->next_free;
    more->next_free = own.first;
    own.first = more;
    ++own.count;
  }
  return slot;
}

void call_slab::give_back(call_slot& slot) noexcept {
  shard& own = shards_[thread_shard()];
  call_slot* surplus = nullptr;
  {
    const std::lock_guard hold(own.lock);
    slot.next_free = own.first;
    own.first = &slot;
    if (++own.count <= max_shard_slots) return;
    // Threads that only finish calls feed those that only make them.
    call_slot* last = own.first;
    for (std::size_t i = 1; i < max_shard_slots / 2; ++i) last = last->next_free;
    surplus = last->next_free;
    last->next_free = nullptr;
    own.count = max_shard_slots / 2;
  }
  const std::lock_guard hold(mutex_);
  while (surplus != nullptr) {
    call_slot* const next = surplus->next_free;
    surplus->next_free = spare_;
    spare_ = surplus;
    surplus = next;
  }
}

rai_call call_slab::next_id(call_slot& slot) noexcept {
  return (++slot.life << index_bits) | (slot.index + 1);
}

call_slot* call_slab::slot_of(rai_call id) const noexcept {
  const std::size_t index = (id & ((rai_call{1} << index_bits) - 1)) - 1;
  if (index >= max_live_calls) return nullptr;  // 0 wraps round and ends here too
  call_slot* const* const slots = chunks_[index / slots_per_chunk].load(std::memory_order_acquire);
  return slots == nullptr ? nullptr : slots[index % slots_per_chunk];
}

held_call call_slab::hold(rai_call id) noexcept {
  call_slot* const slot = slot_of(id);
  if (slot == nullptr) return held_call{};
  slot->lock.lock();
  if (slot->id.load(std::memory_order_relaxed) != id) {
    slot->lock.unlock();
    return held_call{};
  }
  return held_call{slot};
}

}  // namespace rustic::kernel
