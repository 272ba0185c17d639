#include "bus_links.hpp"

#include <string>

namespace rustic::cell {

bool bus_links::on_subscribe(const frame& in) {
  frame_reader reader(in.payload);
  const auto pattern = reader.text();
  if (!reader.whole() || links_.contains(in.id) || links_.size() >= subscriptions_max) return false;
  if (!RAI_HAS(&host_, subscribe)) return true;
  auto made = std::make_unique<link>(link{*this, in.id, generation_});
  made->subscription = host_.subscribe(host_.self, str(pattern), &handle, made.get());
  if (made->subscription != 0) links_.emplace(in.id, std::move(made));
  return true;
}

void bus_links::on_unsubscribe(std::uint64_t id) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  host_.unsubscribe(host_.self, found->second->subscription);
  links_.erase(found);
}

void bus_links::clear() {
  for (const auto& [id, made] : links_) host_.unsubscribe(host_.self, made->subscription);
  links_.clear();
}

void bus_links::handle(void* self, rai_str topic, rai_str body) noexcept {
  auto& me = *static_cast<link*>(self);
  try {
    std::string bytes;
    if (frame_writer(bytes, frame_type::published, me.id)
            .text(view(topic))
            .text(view(body))
            .end() &&
        me.owner.out_.post(me.generation, bytes, send_queue_low_bytes) !=
            frame_queue::outcome::refused)
      return;
  } catch (...) {
  }
  me.owner.note_dropped();
}

void bus_links::note_dropped() noexcept {
  const auto count = dropped_.fetch_add(1) + 1;
  if ((count & (count - 1)) != 0 || !RAI_HAS(&host_, log)) return;  // the 1st, 2nd, 4th, 8th, ...
  try {
    const std::string text =
        "it does not take events fast enough: " + std::to_string(count) + " were dropped";
    host_.log(host_.self, RAI_LOG_WARN, 0, str(text));
  } catch (...) {  // no memory to tell of it
  }
}

}  // namespace rustic::cell
