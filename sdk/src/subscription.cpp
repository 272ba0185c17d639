#include <rustic/subscription.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <rustic/loop.hpp>
#include <rustic/status.hpp>
#include <string>

namespace rustic {

// Lives until nothing can come from the bus any more, which may be after the subscription's end.
class detail::queued_events : public std::enable_shared_from_this<queued_events> {
 public:
  queued_events(const rai_host& host, std::string_view pattern, loop& lane,
                event_queue::listener heard, bool keeps_newest, queue_bounds bounds)
      : host_(host),
        pattern_(pattern),
        lane_(lane),
        heard_(std::move(heard)),
        keeps_newest_(keeps_newest),
        bounds_(bounds) {}

  void begin() {
    subscription_ = host_.subscribe(host_.self, to_str(pattern_), &on_event, this);
    if (subscription_ == 0)
      throw failure(status_code::invalid_argument,
                    "subscribing to " + pattern_ + " was refused by the host",
                    "A pattern is \"a.b\", \"a.*\" or \"*\"; there may be too many subscriptions.");
  }

  void end() noexcept {
    host_.unsubscribe(host_.self, subscription_);
    const bool inside = lane_.on_loop();
    {
      std::unique_lock lock(mutex_);
      closed_ = true;
      waiting_.clear();
      if (!inside) idle_.wait(lock, [this] { return !running_; });
    }
    // Within a handler of the bus unsubscribe has not waited: somebody may still be on the way to
    // on_event. The loop is within none, so there it waits.
    try {
      (void)lane_.post([self = shared_from_this()] {
        self->host_.unsubscribe(self->host_.self, self->subscription_);
      });
    } catch (...) {  // no memory: only within a handler somebody could miss it
    }
  }

  std::uint64_t dropped() const noexcept {
    const std::scoped_lock lock(mutex_);
    return dropped_;
  }

 private:
  struct event {
    std::string topic, body;
    std::size_t bytes() const noexcept { return topic.size() + body.size(); }
  };

  static void on_event(void* self, rai_str topic, rai_str body) {
    auto& me = *static_cast<queued_events*>(self);
    try {
      me.take({std::string(to_view(topic)), std::string(to_view(body))});
    } catch (...) {  // no memory for it
      const std::scoped_lock lock(me.mutex_);
      ++me.dropped_;
    }
  }

  void take(event made) {
    std::uint64_t lost = 0;
    {
      const std::scoped_lock lock(mutex_);
      if (closed_) return;
      const auto fits = [&] {
        return waiting_.size() < bounds_.events_max && bytes_ + made.bytes() <= bounds_.bytes_max;
      };
      const auto before = dropped_;
      const bool fits_at_all = made.bytes() <= bounds_.bytes_max && bounds_.events_max != 0;
      while (fits_at_all && keeps_newest_ && !fits()) drop_front();
      if (!fits() || !scheduled()) {
        ++dropped_;
      } else {
        bytes_ += made.bytes();
        waiting_.push_back(std::move(made));
      }
      if (dropped_ != before && !told_) lost = dropped_;
      told_ = told_ || lost != 0;
    }
    if (lost != 0 && RAI_HAS(&host_, log)) {
      const auto text = "events of " + pattern_ + " are lost, " + std::to_string(lost) +
                        " so far: its listener is slower than they come";
      host_.log(host_.self, RAI_LOG_WARN, 0, to_str(text));
    }
  }

  void drop_front() {
    bytes_ -= waiting_.front().bytes();
    waiting_.pop_front();
    ++dropped_;
  }

  // A job for what waits, unless there is one. False: the loop takes none.
  bool scheduled() {
    if (!scheduled_) scheduled_ = lane_.post([self = shared_from_this()] { self->listen(); });
    return scheduled_;
  }

  // On the loop. One event for each job: others use the loop too.
  void listen() {
    event next;
    {
      const std::scoped_lock lock(mutex_);
      scheduled_ = false;
      if (closed_ || waiting_.empty()) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
      bytes_ -= next.bytes();
      told_ = told_ && !waiting_.empty();  // the next time that it is full is told again
      running_ = true;
    }
    try {
      heard_(next.topic, next.body);
    } catch (...) {
      const auto text = "the listener of " + pattern_ + " threw: " + current_error().message;
      if (RAI_HAS(&host_, log)) host_.log(host_.self, RAI_LOG_ERROR, 0, to_str(text));
    }
    const std::scoped_lock lock(mutex_);
    running_ = false;
    idle_.notify_all();
    while (!closed_ && !waiting_.empty() && !scheduled()) drop_front();
  }

  const rai_host& host_;
  const std::string pattern_;
  loop& lane_;
  const event_queue::listener heard_;
  const bool keeps_newest_;
  const queue_bounds bounds_;
  std::uint64_t subscription_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable idle_;
  std::deque<event> waiting_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  bool told_ = false;       // of the loss that goes on
  bool scheduled_ = false;  // a job waits on the loop
  bool running_ = false;    // the listener runs
  bool closed_ = false;
};

event_queue::event_queue(const rai_host& host, std::string_view pattern, loop& lane, listener heard,
                         bool keeps_newest, queue_bounds bounds)
    : queue_(std::make_shared<detail::queued_events>(host, pattern, lane, std::move(heard),
                                                     keeps_newest, bounds)) {
  queue_->begin();
}

event_queue::~event_queue() {
  queue_->end();
}

std::uint64_t event_queue::dropped() const noexcept {
  return queue_->dropped();
}
}  // namespace rustic
