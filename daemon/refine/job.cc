#include "daemon/refine/job.h"

#include <nlohmann/json.hpp>

#include "common/file.h"

namespace shoal {

RefinementOptions refinement_options(const RefineConfig& config) {
  RefinementOptions options;
  options.clusters = config.clusters;
  options.max_clusters = config.max_clusters;
  options.embedding_dim = config.embedding_dim;
  options.max_train_images = config.max_train_images;
  options.novelty_quantile = config.novelty_quantile;
  options.novelty_slack = config.novelty_slack;
  options.confirmation.share = config.confirm_share;
  options.confirmation.min_agreement = config.confirm_agreement;
  options.confirmation.min_members = config.confirm_min_members;
  options.max_confirm_share = config.confirm_max_share;
  options.transfer.rounds = config.transfer_rounds;
  options.transfer.share_step = config.transfer_share_step;
  options.min_birth = config.min_birth;
  options.max_churn = config.max_churn;
  options.score_tolerance = config.score_tolerance;
  options.seed = config.seed;
  return options;
}

namespace {

nlohmann::json json_of(const RefineJob& job) {
  return {{"checkpoint", job.checkpoint.string()},
          {"output", job.output.string()},
          {"steps", job.steps.string()},
          {"method", job.method},
          {"version", job.version},
          {"views", job.views},
          {"clusters", job.options.clusters},
          {"max_clusters", job.options.max_clusters},
          {"embedding_dim", job.options.embedding_dim},
          {"max_train_images", job.options.max_train_images},
          {"novelty_quantile", job.options.novelty_quantile},
          {"novelty_slack", job.options.novelty_slack},
          {"confirm_share", job.options.confirmation.share},
          {"confirm_agreement", job.options.confirmation.min_agreement},
          {"confirm_min_members", job.options.confirmation.min_members},
          {"confirm_max_share", job.options.max_confirm_share},
          {"transfer_net", job.options.transfer.net
                               ? nlohmann::json(*job.options.transfer.net)
                               : nlohmann::json(nullptr)},
          {"transfer_rounds", job.options.transfer.rounds},
          {"transfer_share_step", job.options.transfer.share_step},
          {"cluster_net", job.options.transfer.cluster_net},
          {"min_birth", job.options.min_birth},
          {"max_churn", job.options.max_churn},
          {"score_tolerance", job.options.score_tolerance},
          {"budget_seconds", job.options.budget.count()},
          {"seed", job.options.seed},
          {"threads", job.threads},
          {"nice", job.nice},
          {"max_memory", job.max_memory},
          {"cache_bytes", job.cache_bytes}};
}

}  // namespace

Result<void> write_job(const std::filesystem::path& file,
                       const RefineJob& job) {
  return write_file_atomically(file, json_of(job).dump(2));
}

bool same_work(const RefineJob& a, const RefineJob& b) {
  nlohmann::json first = json_of(a);
  nlohmann::json second = json_of(b);
  for (const char* const key :
       {"checkpoint", "output", "steps", "budget_seconds", "nice", "max_memory",
        "cache_bytes"}) {
    first.erase(key);
    second.erase(key);
  }
  return first == second;
}

Result<RefineJob> read_job(const std::filesystem::path& file) {
  SHOAL_TRY(text, read_file(file, 1 << 20));
  try {
    const auto json = nlohmann::json::parse(text);
    RefineJob job;
    job.checkpoint = json.at("checkpoint").get<std::string>();
    job.output = json.at("output").get<std::string>();
    job.steps = json.at("steps").get<std::string>();
    json.at("method").get_to(job.method);
    json.at("version").get_to(job.version);
    json.at("views").get_to(job.views);
    json.at("clusters").get_to(job.options.clusters);
    json.at("max_clusters").get_to(job.options.max_clusters);
    json.at("embedding_dim").get_to(job.options.embedding_dim);
    json.at("max_train_images").get_to(job.options.max_train_images);
    json.at("novelty_quantile").get_to(job.options.novelty_quantile);
    json.at("novelty_slack").get_to(job.options.novelty_slack);
    json.at("confirm_share").get_to(job.options.confirmation.share);
    json.at("confirm_agreement").get_to(job.options.confirmation.min_agreement);
    json.at("confirm_min_members").get_to(job.options.confirmation.min_members);
    json.at("confirm_max_share").get_to(job.options.max_confirm_share);
    TransferRounds& transfer = job.options.transfer;
    if (!json.at("transfer_net").is_null()) {
      transfer.net = json.at("transfer_net").get<std::size_t>();
    }
    json.at("transfer_rounds").get_to(transfer.rounds);
    json.at("transfer_share_step").get_to(transfer.share_step);
    json.at("cluster_net").get_to(transfer.cluster_net);
    json.at("min_birth").get_to(job.options.min_birth);
    json.at("max_churn").get_to(job.options.max_churn);
    json.at("score_tolerance").get_to(job.options.score_tolerance);
    job.options.budget =
        std::chrono::duration<double>(json.at("budget_seconds").get<double>());
    json.at("seed").get_to(job.options.seed);
    json.at("threads").get_to(job.threads);
    json.at("nice").get_to(job.nice);
    json.at("max_memory").get_to(job.max_memory);
    json.at("cache_bytes").get_to(job.cache_bytes);
    return job;
  } catch (const nlohmann::json::exception& error) {
    return invalid_argument(file.string() + ": " + error.what());
  }
}

}  // namespace shoal
