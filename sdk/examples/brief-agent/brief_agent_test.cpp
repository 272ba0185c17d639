// The built engine with a stand-in for the model.
#include <rustic/agent.hpp>
#include <rustic/testing.hpp>

int main() {
  using namespace rustic;
  testing::checks check;
  testing::loaded_plugin plugin(PLUGIN_FILE, {{"provider", "fake"}});
  testing::asked seen;
  plugin.answer_for("rustic.provider/fake", [&](const testing::asked& question) {
    seen = question;
    generate_result result;
    result.message.role = "assistant";
    result.message.parts.emplace_back().text = "Blue.";
    result.finish_reason = "stop";
    testing::answer out;
    out.events.push_back({RAI_EVENT_TEXT, "Blue."});
    out.body = to_text(result);
    return out;
  });

  turn_request turn;
  turn.session = "s";
  turn.input.emplace_back().text = "What colour is the sky?";
  const auto answer = plugin.call("rustic.agent/brief-agent", "turn", to_object(turn));
  check(answer.ok(), "the turn ends well");
  check.equal(answer.joined(RAI_EVENT_TEXT), "Blue.", "the answer is streamed");
  check.equal(from_json<turn_result>(answer.object()).text, "Blue.", "and is in the result");
  check(seen.body.find("What colour") != std::string::npos, "the model gets the question");
  check(seen.body.find("one sentence") != std::string::npos, "and the system prompt");

  turn.provider = "nobody";
  check(plugin.call("rustic.agent/brief-agent", "turn", to_object(turn)).status ==
            status_code::not_found,
        "a provider's error is the turn's");
  check(plugin.call("rustic.agent/brief-agent", "dance", {}).status == status_code::unimplemented,
        "a method that is not there");
  return check.failures();
}
