#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "clients/protocol/fields.h"
#include "clients/protocol/query.h"
#include "config/config.h"
#include "daemon/pipeline/intake.h"
#include "daemon/pipeline/label_stage.h"
#include "daemon/query/similar_index.h"
#include "daemon/refine/refinery.h"
#include "store/store.h"

namespace shoal {

/// Features of an image that is not stored: a WireError when it cannot be
/// used or the pipeline is full.
using Prober = std::function<WireResult<std::vector<Vector>>(std::string)>;

/// Answers the ops of the query socket and of HTTP (docs/protocol.md). Reads
/// go straight to the store; changes go through the label thread and the
/// refinery. Thread-safe.
class QueryOps {
 public:
  struct Parts {
    Store& store;
    LabelThread& labels;
    Refinery& refinery;
    SimilarIndex& similar;
    Intake& intake;
    Prober probe;
    /// Names of the views that are extracted now.
    std::function<std::vector<std::string>()> views;
    /// True while older images lack the features of new views.
    std::function<bool()> filling_views;
  };

  QueryOps(Parts parts, const QueryConfig& config);

  /// @param request  decoded; one with an error is answered with it
  /// @return the reply's own fields, or the error
  [[nodiscard]] WireResult<nlohmann::json> answer(const QueryRequest& request);

  /// True for ops that may take longer than a read: they wait for a
  /// pipeline, a disk or another thread.
  [[nodiscard]] static bool is_slow(const QueryRequest& request);

 private:
  using Json = nlohmann::json;
  using Reply = WireResult<Json>;
  using Handler = Reply (QueryOps::*)(const Json&);
  static const std::map<std::string, Handler, std::less<>>& handlers();

  Reply image(const Json& request);
  Reply bytes(const Json& request);
  Reply cluster(const Json& request);
  Reply clusters(const Json& request);
  Reply members(const Json& request);
  Reply unassigned(const Json& request);
  Reply similar(const Json& request);
  Reply history(const Json& request);
  Reply lineage(const Json& request);
  Reply status(const Json& request);
  Reply epochs(const Json& request);
  Reply rejected(const Json& request);
  Reply refine(const Json& request);
  Reply cancel(const Json& request);
  Reply rollback(const Json& request);
  Reply publish(const Json& request);
  Reply confirm(const Json& request);
  Reply reject(const Json& request);
  Reply move(const Json& request);
  Reply merge(const Json& request);
  Reply split(const Json& request);
  Reply undo(const Json& request);
  Reply name(const Json& request);
  Reply remove(const Json& request);
  Reply backup(const Json& request);

  Reply page_of(ClusterId cluster, const Json& request);
  Reply correct(const CorrectionRequest& request);
  Reply activate(const Json& request, EpochStatus wanted);
  WireResult<ImageSeq> find(const ImageId& id) const;
  /// The living clusters that a retired one's images went to.
  WireResult<std::vector<ClusterId>> successors(ClusterId cluster,
                                                EpochId epoch) const;

  Parts parts_;
  const QueryConfig config_;
  const std::chrono::steady_clock::time_point started_;
};

}  // namespace shoal
