// Runs the program against a daemon of canned answers.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/protocol/ingest.h"
#include "clients/protocol/query.h"
#include "common/file.h"
#include "tests/clients/fake_daemon.h"

namespace shoal {
namespace {

using nlohmann::json;
using test::FakeDaemon;
using test::FakeRouter;
using test::Frames;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
namespace fs = std::filesystem;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;

  /// Each line of standard output as JSON.
  [[nodiscard]] std::vector<json> lines() const {
    std::vector<json> parsed;
    std::istringstream in(out);
    for (std::string line; std::getline(in, line);) {
      parsed.push_back(json::parse(line));
    }
    return parsed;
  }
};

/// Answers by op; an op that is not listed is not_found.
using Answers = std::map<std::string, std::vector<WireResult<json>>>;

class Shoalctl : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.emplace(TemporaryFolder::create("shoalctl-test").value());
  }

  [[nodiscard]] fs::path path(const std::string& name) const {
    return folder_->path() / name;
  }

  fs::path write(const std::string& name, const std::string& bytes) {
    fs::create_directories(path(name).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }

  static std::string text_of(const fs::path& file) {
    return read_file(file, 1 << 24).value();
  }

  /// Runs `shoalctl ARGS`; `input` is its standard input.
  Outcome run(const std::string& args, const std::string& input = "") {
    write("in", input);
    const std::string command = "cd '" + folder_->path().string() +
                                "' && '" SHOALCTL "' " + args +
                                " >out 2>err <in";
    const int status = std::system(command.c_str());
    Outcome outcome;
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    outcome.out = text_of(path("out"));
    outcome.err = text_of(path("err"));
    return outcome;
  }

  /// Starts a daemon. The n-th request of an op gets its n-th answer, later
  /// ones the last.
  void start(Answers answers, std::vector<Frames> events = {}) {
    daemon_ = FakeDaemon::start(
        [this](const Frames& message, const FakeRouter::Send& send) {
          send({encode_ingest_reply(ingest_(message))});
        },
        [this, answers = std::move(answers)](const Frames& message,
                                             const FakeRouter::Send& send) {
          const QueryRequest request = decode_query(message.at(0));
          requests_.push_back(request);
          const auto at = answers.find(request.op);
          if (request.error.has_value() || at == answers.end()) {
            send({encode_query_reply(request,
                                     WireError{"not_found", "no such thing"})});
            return;
          }
          const std::size_t n =
              std::min(asked_[request.op]++, at->second.size() - 1);
          send({encode_query_reply(request, at->second[n])});
        },
        events);
  }

  /// As run, against the daemon.
  Outcome ask(const std::string& args, const std::string& input = "") {
    return run("--port-base " + std::to_string(daemon_.port_base) + " " + args,
               input);
  }

  /// The requests that came; ends the daemon.
  std::vector<QueryRequest> requests() {
    daemon_ = {};
    return requests_;
  }

  std::function<IngestReply(const Frames&)> ingest_ =
      [](const Frames& message) {
        const auto header = decode_ingest_header(message.at(0)).header;
        IngestReply reply;
        reply.seq = header->seq;
        reply.id = header->id.value_or("hash of " + message.at(1));
        if (message.at(1) == "text") {
          reply.status = IngestStatus::kRejected;
          reply.error = WireError{"not_an_image", "the bytes are no image"};
        } else if (header->ack == Ack::kAssigned) {
          reply.status = IngestStatus::kAssigned;
          reply.cluster = message.at(1) == "odd" ? 0 : 4;
          reply.confidence = 0.5F;
        }
        return reply;
      };
  std::optional<TemporaryFolder> folder_;
  std::map<std::string, std::size_t> asked_;
  std::vector<QueryRequest> requests_;
  FakeDaemon daemon_;  // last: its threads use the members above
};

// ------------------------------------------------------------- exit codes

TEST_F(Shoalctl, UsageErrorsEndWith2) {
  for (const char* const args :
       {"", "explode", "image", "similar x -k 0", "export --format xml",
        "ingest a --id-from moon", "--port-base 70000 status",
        "--endpoint here status", "--endpoint tcp://a --port-base 5 status",
        "ingest https://example.org/a.jpg", "ingest .", "rollback one",
        "export --format folders", "--timeout 0 status"}) {
    const Outcome outcome = run(args);
    EXPECT_EQ(outcome.code, 2) << args << "\n" << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty()) << args;
    EXPECT_THAT(outcome.err, Not(IsEmpty())) << args;
  }
}

TEST_F(Shoalctl, HelpAndVersionEndWith0) {
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_THAT(run("ingest --help").out, HasSubstr("--recursive"));
  EXPECT_THAT(run("--version").out, HasSubstr("shoalctl 0."));
}

TEST_F(Shoalctl, AnAbsentDaemonEndsWith4) {
  write("a.jpg", "a");
  for (const char* const args : {"status", "watch", "ingest a.jpg"}) {
    const Outcome outcome =
        run("--endpoint tcp://127.0.0.1:1 --timeout 0.3 " + std::string(args));
    EXPECT_EQ(outcome.code, 4) << args;
    EXPECT_THAT(outcome.out, IsEmpty()) << args;
    EXPECT_THAT(outcome.err, HasSubstr("check that shoald runs")) << args;
  }
}

TEST_F(Shoalctl, ASilentDaemonEndsWith4) {
  const auto silent = [](const Frames&, const auto&) {};
  daemon_ = FakeDaemon::start(silent, silent);
  write("a.jpg", "a");
  for (const char* const args : {"status", "ingest a.jpg"}) {
    const Outcome outcome = ask("--timeout 0.3 " + std::string(args));
    EXPECT_EQ(outcome.code, 4) << args;
    EXPECT_THAT(outcome.err, HasSubstr("did not answer")) << args;
  }
}

TEST_F(Shoalctl, NotFoundEndsWith3AndOtherRefusalsWith1) {
  start({{"similar", {WireError{"no_epoch", "nothing is learned yet"}}},
         {"image", {WireError{"not_found", "no image"}, json({{"id", "b"}})}}});
  EXPECT_EQ(ask("cluster 5").code, 3);
  const Outcome similar = ask("similar a");
  EXPECT_EQ(similar.code, 1);
  EXPECT_EQ(similar.err, "shoalctl: nothing is learned yet [no_epoch]\n");
  // The others are still shown.
  const Outcome images = ask("--json image a b");
  EXPECT_EQ(images.code, 3);
  EXPECT_THAT(images.lines(), ElementsAre(json({{"id", "b"}})));
}

TEST_F(Shoalctl, ASenselessReplyEndsWith1) {
  start({{"clusters", {json({{"clusters", {1, 2}}})}}});
  const Outcome outcome = ask("clusters");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("makes no sense"));
}

// ----------------------------------------------------------------- ingest

TEST_F(Shoalctl, IngestSendsFilesAndFoldersOnceEach) {
  start({});
  write("a.jpg", "a");
  write("tree/one/b.jpg", "b");
  write("tree/c.png", "c");
  write("tree/.hidden/d.jpg", "d");
  const Outcome outcome = ask("--json ingest a.jpg tree --recursive");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::map<std::string, json> by_path;
  for (const json& line : outcome.lines()) by_path[line["path"]] = line;
  ASSERT_EQ(by_path.size(), 3U);
  EXPECT_EQ(by_path["a.jpg"], json({{"path", "a.jpg"},
                                    {"id", "hash of a"},
                                    {"status", "stored"},
                                    {"cluster", nullptr},
                                    {"confidence", nullptr},
                                    {"error", nullptr}}));
  EXPECT_EQ(by_path["tree/one/b.jpg"]["id"], "hash of b");
  EXPECT_EQ(by_path["tree/c.png"]["id"], "hash of c");
  EXPECT_THAT(outcome.err, HasSubstr("3 images: 3 stored"));
}

TEST_F(Shoalctl, IngestReadsAListOfPaths) {
  start({});
  write("a.jpg", "a");
  write("b c.jpg", "b");
  const Outcome outcome =
      ask("--json ingest - --id-from name", "a.jpg\n\nb c.jpg");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::vector<std::string> ids;
  for (const json& line : outcome.lines()) ids.push_back(line["id"]);
  EXPECT_THAT(ids, ::testing::UnorderedElementsAre("a.jpg", "b c.jpg"));
}

TEST_F(Shoalctl, IngestWaitsForClusters) {
  start({});
  write("a.jpg", "a");
  write("odd.jpg", "odd");
  const Outcome json_lines = ask("--json ingest --wait a.jpg --id-from path");
  ASSERT_EQ(json_lines.lines().size(), 1U);
  EXPECT_EQ(json_lines.lines()[0]["status"], "assigned");
  EXPECT_EQ(json_lines.lines()[0]["id"], "a.jpg");
  EXPECT_EQ(json_lines.lines()[0]["cluster"], 4);
  EXPECT_EQ(json_lines.lines()[0]["confidence"], 0.5);
  const Outcome unassigned = ask("--json ingest --wait odd.jpg");
  EXPECT_TRUE(unassigned.lines()[0]["cluster"].is_null());
  EXPECT_EQ(ask("ingest --wait a.jpg").out,
            "assigned  hash of a  cluster 4 (0.5)  a.jpg\n");
}

TEST_F(Shoalctl, IngestEndsWith1WhenAnImageIsRefused) {
  start({});
  write("a.jpg", "a");
  write("b.jpg", "text");
  const Outcome outcome = ask("--json ingest a.jpg b.jpg missing.jpg");
  EXPECT_EQ(outcome.code, 1);
  std::map<std::string, json> by_path;
  for (const json& line : outcome.lines()) by_path[line["path"]] = line;
  ASSERT_EQ(by_path.size(), 3U);
  EXPECT_EQ(by_path["a.jpg"]["status"], "stored");
  EXPECT_EQ(by_path["b.jpg"]["status"], "rejected");
  EXPECT_EQ(
      by_path["b.jpg"]["error"],
      json({{"code", "not_an_image"}, {"message", "the bytes are no image"}}));
  EXPECT_EQ(by_path["missing.jpg"]["error"]["code"], "unreadable");
  EXPECT_TRUE(by_path["missing.jpg"]["id"].is_null());
  EXPECT_THAT(outcome.err, HasSubstr("3 images: 2 rejected, 1 stored"));
}

TEST_F(Shoalctl, IngestSaysWhereImagesComeFrom) {
  std::string source;
  ingest_ = [&, plain = ingest_](const Frames& message) {
    source = decode_ingest_header(message.at(0)).header->source;
    return plain(message);
  };
  start({});
  write("a.jpg", "a");
  EXPECT_EQ(ask("ingest a.jpg --source 'north gate'").code, 0);
  static_cast<void>(requests());
  EXPECT_EQ(source, "north gate");
}

// ---------------------------------------------------------------- queries

TEST_F(Shoalctl, ListsAreAlignedForPeopleAndLinesForScripts) {
  const json clusters = {{{"cluster", 1},
                          {"size", 1000},
                          {"confirmed", 0},
                          {"name", "ducks"},
                          {"born_epoch", 1}},
                         {{"cluster", 12},
                          {"size", 7},
                          {"confirmed", 2},
                          {"name", nullptr},
                          {"born_epoch", 3}}};
  start({{"clusters",
          {json({{"clusters", clusters}, {"epoch", 3}, {"unassigned", 0}})}}});
  EXPECT_EQ(ask("clusters").out,
            "CLUSTER  SIZE  CONFIRMED  BORN  NAME\n"
            "      1  1000          0     1  ducks\n"
            "     12     7          2     3  -\n");
  EXPECT_THAT(ask("clusters --json").lines(),
              ElementsAre(clusters[0], clusters[1]));
}

TEST_F(Shoalctl, MembersFollowsTheCursor) {
  const auto page = [](const char* id, const json& cursor) {
    return json({{"cluster", 4},
                 {"members", json::array({{{"id", id},
                                           {"state", "assigned"},
                                           {"confidence", 0.5}}})},
                 {"cursor", cursor}});
  };
  start({{"members", {page("a", "x"), page("b", "y"), page("c", nullptr)}}});
  std::vector<std::string> ids;
  for (const json& line : ask("--json members 4").lines()) {
    ids.push_back(line["id"]);
  }
  EXPECT_THAT(ids, ElementsAre("a", "b", "c"));
  const auto asked = requests();
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_FALSE(asked[0].fields.contains("cursor"));
  EXPECT_EQ(asked[1].fields["cursor"], "x");
  EXPECT_EQ(asked[2].fields["cursor"], "y");
  EXPECT_EQ(asked[2].fields["cluster"], 4);
}

TEST_F(Shoalctl, SimilarTakesAnIdOrAFile) {
  const json row = {{"id", "b"}, {"score", 0.91234567}, {"cluster", 4}};
  start({{"similar", {json({{"similar", json::array({row})}})}}});
  write("a.jpg", "bytes");
  EXPECT_EQ(ask("similar a.jpg -k 3").out,
            "ID   SCORE  CLUSTER\n"
            "b   0.9123        4\n");
  EXPECT_THAT(ask("--json similar --id a.jpg").lines(), ElementsAre(row));
  const auto asked = requests();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].fields["image"], json::binary({'b', 'y', 't', 'e', 's'}));
  EXPECT_EQ(asked[0].fields["k"], 3);
  EXPECT_EQ(asked[1].fields["id"], "a.jpg");
  EXPECT_EQ(asked[1].fields["k"], 10);
}

TEST_F(Shoalctl, LineageAsksOnUntilTheEnd) {
  const auto page = [](std::uint64_t seq) {
    return json({{"lineage", json::array({{{"seq", seq},
                                           {"cluster", 1},
                                           {"kind", "born"},
                                           {"others", {2, 3}}}})}});
  };
  start({{"lineage", {page(5), page(9), json({{"lineage", json::array()}})}}});
  const Outcome outcome = ask("lineage");
  EXPECT_THAT(outcome.out, HasSubstr("2,3"));
  const auto asked = requests();
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_EQ(asked[1].fields["after"], 5);
  EXPECT_EQ(asked[2].fields["after"], 9);
}

TEST_F(Shoalctl, ShowsOneThingPerLineAndNoControlCharacters) {
  const json status = {{"images", 3},
                       {"refining", false},
                       {"epoch", nullptr},
                       {"views", {"hog", "rp"}},
                       {"note", "a\x1b[2J"}};
  start({{"status", {status}}});
  EXPECT_EQ(ask("status").out,
            "images    3\n"
            "epoch     -\n"
            "refining  no\n"
            "views     hog,rp\n"
            "note      a?[2J\n");
  EXPECT_THAT(ask("--json status").lines(), ElementsAre(status));
}

TEST_F(Shoalctl, CorrectionsSendTheirFields) {
  Answers answers;
  for (const char* const op :
       {"confirm", "reject", "move", "merge", "split", "undo", "name", "delete",
        "rollback", "publish", "cancel", "backup"}) {
    answers[op] = {json({{"correction", 8}})};
  }
  start(answers);
  const std::string here = folder_->path().string();
  const std::pair<std::string, json> cases[] = {
      {"confirm a b", {{"op", "confirm"}, {"ids", {"a", "b"}}}},
      {"confirm a --cluster 2",
       {{"op", "confirm"}, {"ids", {"a"}}, {"cluster", 2}}},
      {"reject a", {{"op", "reject"}, {"ids", {"a"}}}},
      {"move a b --to 3",
       {{"op", "move"}, {"ids", {"a", "b"}}, {"cluster", 3}}},
      {"merge 4 5", {{"op", "merge"}, {"from", 4}, {"into", 5}}},
      {"split 4 a b", {{"op", "split"}, {"cluster", 4}, {"ids", {"a", "b"}}}},
      {"undo", {{"op", "undo"}}},
      {"undo 7", {{"op", "undo"}, {"correction", 7}}},
      {"name 4 'red ducks'",
       {{"op", "name"}, {"cluster", 4}, {"name", "red ducks"}}},
      {"name 4 ''", {{"op", "name"}, {"cluster", 4}, {"name", ""}}},
      {"delete a", {{"op", "delete"}, {"ids", {"a"}}}},
      {"rollback 2", {{"op", "rollback"}, {"epoch", 2}}},
      {"publish 3", {{"op", "publish"}, {"epoch", 3}}},
      {"cancel", {{"op", "cancel"}}},
      {"backup copy", {{"op", "backup"}, {"dir", here + "/copy"}}}};
  for (const auto& [args, fields] : cases) {
    const Outcome outcome = ask("--json " + args);
    EXPECT_EQ(outcome.code, 0) << args << "\n" << outcome.err;
    EXPECT_THAT(outcome.lines(), ElementsAre(json({{"correction", 8}})));
  }
  const auto asked = requests();
  ASSERT_EQ(asked.size(), std::size(cases));
  for (std::size_t i = 0; i < asked.size(); ++i) {
    json fields = asked[i].fields;
    fields.erase("v");
    fields.erase("seq");
    EXPECT_EQ(fields, cases[i].second);
  }
}

// ------------------------------------------------------- refine and watch

json epoch_entry(int epoch, const char* status, bool current) {
  return {{"epoch", epoch},
          {"status", status},
          {"current", current},
          {"method", "km"},
          {"reason", ""},
          {"started_at", "2026-01-01T00:00:00.000000Z"},
          {"finished_at", "2026-01-01T00:01:30.500000Z"},
          {"images", 40},
          {"clusters", 4},
          {"churn", 0.25},
          {"scores", {{"silhouette", 0.5}}}};
}

TEST_F(Shoalctl, RefineWaitsForTheRunsEnd) {
  const json old_epoch = epoch_entry(1, "published", true);
  start({{"refine", {json({{"run", 2}})}},
         {"status", {json({{"refining", true}})}},
         {"epochs",
          {json({{"epochs", {old_epoch, epoch_entry(2, "staging", false)}}}),
           json({{"epochs",
                  {epoch_entry(1, "published", false),
                   epoch_entry(2, "published", true)}}})}}});
  const Outcome outcome =
      ask("--json refine --wait --max-minutes 1.5 --dry-run");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(outcome.lines().size(), 1U);
  EXPECT_EQ(outcome.lines()[0], json({{"run", 2},
                                      {"status", "published"},
                                      {"epoch", 2},
                                      {"method", "km"},
                                      {"reason", ""},
                                      {"images", 40},
                                      {"clusters", 4},
                                      {"seconds", 90.5},
                                      {"scores", {{"silhouette", 0.5}}},
                                      {"churn", 0.25}}));
  EXPECT_THAT(outcome.err, HasSubstr("run 2 started"));
  const auto asked = requests();
  EXPECT_EQ(asked[0].fields["max_minutes"], 1.5);
  EXPECT_EQ(asked[0].fields["dry_run"], true);
}

TEST_F(Shoalctl, AFailedRunEndsWith1AndAHeldOneWith0) {
  start({{"refine", {json({{"run", 2}})}},
         {"status", {json({{"refining", true}})}},
         {"epochs",
          {json({{"epochs",
                  {epoch_entry(1, "published", true),
                   epoch_entry(2, "failed", false)}}}),
           json({{"epochs",
                  {epoch_entry(1, "published", true),
                   epoch_entry(2, "held", false)}}})}}});
  const Outcome failed = ask("--json refine --wait");
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(failed.lines()[0]["status"], "failed");
  EXPECT_EQ(failed.lines()[0]["epoch"], 1);
  const Outcome held = ask("--json refine --wait");
  EXPECT_EQ(held.code, 0);
  EXPECT_EQ(held.lines()[0]["status"], "held");
  EXPECT_THAT(held.err, HasSubstr("shoalctl publish 2"));
}

TEST_F(Shoalctl, ADryRunThatIsHeldIsWhatWasAskedFor) {
  start({{"refine", {json({{"run", 2}})}},
         {"status", {json({{"refining", true}})}},
         {"epochs", {json({{"epochs", {epoch_entry(2, "held", false)}}})}}});
  const Outcome outcome = ask("refine --wait --dry-run");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, Not(HasSubstr("publish")));
}

TEST_F(Shoalctl, ASkippedRunEndsWith0) {
  start({{"refine", {json({{"run", 2}})}},
         {"status", {json({{"refining", false}})}},
         {"epochs", {json({{"epochs", {epoch_entry(2, "skipped", false)}}})}}});
  const Outcome outcome = ask("--json refine --wait");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.lines()[0]["status"], "skipped");
}

TEST_F(Shoalctl, RefineWaitsForTheRunInProgressInstead) {
  start({{"refine", {WireError{"busy", "a run is in progress"}}},
         {"status",
          {json({{"refining", true},
                 {"last_run", epoch_entry(2, "staging", false)}})}},
         {"epochs",
          {json({{"epochs", {epoch_entry(2, "staging", false)}}}),
           json({{"epochs", {epoch_entry(2, "published", true)}}})}}});
  const Outcome outcome = ask("--json refine --wait");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(outcome.lines().size(), 1U);
  EXPECT_EQ(outcome.lines()[0]["run"], 2);
  EXPECT_EQ(outcome.lines()[0]["status"], "published");
  EXPECT_THAT(outcome.err, HasSubstr("run 2 is in progress"));
}

TEST_F(Shoalctl, RefineAsksAgainWhileTheDaemonIsBusyWithoutARun) {
  start(
      {{"refine",
        {WireError{"busy", "an epoch change is in progress"},
         json({{"run", 3}})}},
       {"status",
        {json({{"refining", false},
               {"last_run", epoch_entry(2, "published", true)}})}},
       {"epochs", {json({{"epochs", {epoch_entry(3, "published", true)}}})}}});
  const Outcome outcome = ask("--json refine --wait");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.lines()[0]["run"], 3);
}

TEST_F(Shoalctl, RefineGivesUpWhenTheDaemonStaysBusy) {
  start({{"refine", {WireError{"busy", "an epoch change is in progress"}}},
         {"status", {json({{"refining", false}, {"last_run", nullptr}})}}});
  const Outcome outcome = ask("--timeout 1 refine --wait");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("an epoch change is in progress"));
}

TEST_F(Shoalctl, ADryRunJoinsNoRunInProgress) {
  start({{"refine", {WireError{"busy", "a run is in progress"}}},
         {"status",
          {json({{"refining", true},
                 {"last_run", epoch_entry(2, "staging", false)}})}}});
  const Outcome outcome = ask("refine --wait --dry-run");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("a run is in progress"));
}

TEST_F(Shoalctl, MessagesCarryAPriorityInTheJournal) {
  start({{"refine", {json({{"run", 2}})}},
         {"status", {json({{"refining", false}})}},
         {"epochs", {json({{"epochs", {epoch_entry(2, "held", false)}}})}}});
  // What standard error is, as systemd tells it.
  write("ask",
        "exec 2>err\n"
        "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) '" SHOALCTL
        "' \"$@\"\n");
  const std::string command =
      "cd '" + folder_->path().string() + "' && sh ask --port-base " +
      std::to_string(daemon_.port_base) + " refine --wait >out";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_THAT(text_of(path("err")),
              AllOf(HasSubstr("<6>shoalctl: run 2 started"),
                    HasSubstr("<4>shoalctl: run 2 is held")));
}

TEST_F(Shoalctl, ARunThatVanishesEndsWith1) {
  start({{"refine", {json({{"run", 2}})}},
         {"status", {json({{"refining", false}})}},
         {"epochs", {json({{"epochs", json::array()}})}}});
  const Outcome outcome = ask("refine --wait");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("left no entry"));
}

TEST_F(Shoalctl, RefineAloneTellsTheRun) {
  start({{"refine", {json({{"run", 2}}), WireError{"busy", "run 2 runs"}}}});
  EXPECT_THAT(ask("--json refine").lines(), ElementsAre(json({{"run", 2}})));
  EXPECT_EQ(ask("refine").code, 1);
}

TEST_F(Shoalctl, WatchPrintsEvents) {
  start({}, {{"image.moved", encode_event({{"at", "t"}, {"id", "a"}})},
             {"cluster.born", encode_event({{"at", "t"}, {"cluster", 4}})}});
  const Outcome lines = ask("--json watch cluster. --count 2");
  EXPECT_EQ(lines.code, 0);
  const json born = {{"topic", "cluster.born"}, {"at", "t"}, {"cluster", 4}};
  EXPECT_THAT(lines.lines(), ElementsAre(born, born));
  EXPECT_EQ(ask("watch image. --count 1").out, "t  image.moved  id=a\n");
}

// ----------------------------------------------------------------- export

class ShoalctlExport : public Shoalctl {
 protected:
  static json members(const json& rows) {
    return {{"members", rows}, {"cursor", nullptr}};
  }
  static Answers answers(std::uint64_t epoch_at_end) {
    const json clusters =
        json::array({{{"cluster", 4}, {"size", 3}, {"name", "big, red"}}});
    const auto row = [](const char* id, const char* state, double confidence) {
      return json({{"id", id}, {"state", state}, {"confidence", confidence}});
    };
    const auto bytes = [](const char* id) {
      return json({{"id", id},
                   {"format", "jpeg"},
                   {"image", json::binary({'J', 'P', 'G'})}});
    };
    return {{"clusters",
             {json({{"clusters", clusters}, {"epoch", 2}}),
              json({{"clusters", clusters}, {"epoch", epoch_at_end}})}},
            {"members",
             {members({row("a", "confirmed", 0.5), row("a.jpg", "assigned", 1),
                       row("../b \"q\"", "assigned", 0.25)})}},
            {"unassigned", {members(json::array({row("c", "unassigned", 0)}))}},
            {"bytes", {bytes("a")}}};
  }
};

TEST_F(ShoalctlExport, WritesJsonLines) {
  start(answers(2));
  const Outcome outcome = ask("export --format jsonl");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(outcome.lines().size(), 4U);
  EXPECT_EQ(outcome.lines()[0], json({{"id", "a"},
                                      {"cluster", 4},
                                      {"name", "big, red"},
                                      {"state", "confirmed"},
                                      {"confidence", 0.5}}));
  EXPECT_TRUE(outcome.lines()[3]["cluster"].is_null());
}

TEST_F(ShoalctlExport, WritesCsvToAFile) {
  start(answers(2));
  const Outcome outcome = ask("export --format csv --out all.csv");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_EQ(text_of(path("all.csv")),
            "id,cluster,name,state,confidence\r\n"
            "a,4,\"big, red\",confirmed,0.5\r\n"
            "a.jpg,4,\"big, red\",assigned,1.0\r\n"
            "\"../b \"\"q\"\"\",4,\"big, red\",assigned,0.25\r\n"
            "c,,,unassigned,0.0\r\n");
}

TEST_F(ShoalctlExport, WritesAFolderPerClusterAndNothingBeside) {
  start(answers(2));
  const Outcome outcome = ask("export --format folders --out tree");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path("tree"))) {
    if (!entry.is_regular_file()) continue;
    files.push_back(fs::relative(entry.path(), path("tree")).string());
    EXPECT_EQ(text_of(entry.path()), "JPG");
  }
  EXPECT_THAT(files,
              ::testing::UnorderedElementsAre(
                  "cluster-4-big, red/a.jpg", "cluster-4-big, red/a~2.jpg",
                  "cluster-4-big, red/%2E.%2Fb \"q\".jpg", "unassigned/c.jpg"));
  // A second export does not mix with the first.
  EXPECT_EQ(ask("export --format folders --out tree").code, 1);
}

TEST_F(ShoalctlExport, SaysWhenAnEpochCameBetween) {
  start(answers(3));
  const Outcome outcome = ask("export --format jsonl");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("export again"));
}

TEST_F(ShoalctlExport, SaysWhenTheFileCannotBeWritten) {
  start(answers(2));
  EXPECT_EQ(ask("export --format csv --out no/such/folder.csv").code, 1);
}

}  // namespace
}  // namespace shoal
