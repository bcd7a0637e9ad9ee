#include "daemon/pipeline/label_stage.h"

#include <chrono>

#include "common/log.h"

namespace shoal {

LabelStage::LabelStage(std::unique_ptr<ClusterBook> book, const Store& store,
                       Intake& intake, Metrics& metrics, Hooks hooks)
    : book_(std::move(book)),
      store_(store),
      intake_(intake),
      metrics_(metrics),
      hooks_(std::move(hooks)) {}

Result<void> LabelStage::arrive(const std::vector<Arrival>& arrivals) {
  const auto start = std::chrono::steady_clock::now();
  SHOAL_TRY(settled, book_->arrive(arrivals));
  observe(metrics_.assign_seconds, std::chrono::steady_clock::now() - start);
  for (std::size_t i = 0; i < settled.size(); ++i) {
    if (settled[i].changed) {
      --intake_.pending();
      if (!arrivals[i].failure_code.empty()) {
        intake_.note_rejected(
            settled[i].id.str(), settled[i].source,
            {arrivals[i].failure_code, arrivals[i].failure_message});
      }
    }
    const auto it = waiting_.find(settled[i].seq);
    if (it == waiting_.end()) continue;
    for (const Waiting& waiting : it->second) {
      answer(waiting, settled[i].label, arrivals[i].failure_code,
             arrivals[i].failure_message);
    }
    waiting_.erase(it);
  }
  hooks_.settled(*book_);
  return ok();
}

void LabelStage::wait_for_label(const Ticket& ticket, const ImageId& id,
                                ImageSeq seq, bool duplicate) {
  Waiting waiting{ticket, id, duplicate};
  const auto labels = store_.labels(book_->current().id(), {seq});
  const auto records = store_.images({seq});
  if (!labels || !records) {
    const Error& error = labels ? records.error() : labels.error();
    answer_early(waiting, {"internal", error.message});
    return;
  }
  if (!records.value().front()) {
    answer_deleted(waiting);
    return;
  }
  if (labels.value().front()) {
    answer(waiting, *labels.value().front(),
           records.value().front()->failure_code,
           records.value().front()->failure_message);
    return;
  }
  waiting_[seq].push_back(std::move(waiting));
}

void LabelStage::answer(const Waiting& waiting, const Label& label,
                        const std::string& failure_code,
                        const std::string& failure_message) {
  --intake_.waiting();
  IngestReply reply;
  reply.id = waiting.id.str();
  reply.status =
      waiting.duplicate ? IngestStatus::kDuplicate : IngestStatus::kAssigned;
  reply.cluster = label.cluster.value();
  reply.confidence = label.confidence;
  if (!failure_code.empty()) {
    reply.error = WireError{failure_code, failure_message};
  }
  hooks_.reply(waiting.ticket, std::move(reply));
}

void LabelStage::answer_early(const Waiting& waiting, WireError error) {
  --intake_.waiting();
  IngestReply reply;
  reply.id = waiting.id.str();
  // It is durable: that is what the client can rely on.
  reply.status =
      waiting.duplicate ? IngestStatus::kDuplicate : IngestStatus::kStored;
  reply.error = std::move(error);
  hooks_.reply(waiting.ticket, std::move(reply));
}

void LabelStage::answer_deleted(const Waiting& waiting) {
  --intake_.waiting();
  IngestReply reply;
  reply.id = waiting.id.str();
  reply.status = IngestStatus::kRejected;
  reply.error =
      WireError{"not_found", "the image was deleted before it was assigned"};
  hooks_.reply(waiting.ticket, std::move(reply));
}

void LabelStage::answer_all_waiting() {
  for (const auto& [seq, all] : waiting_) {
    for (const Waiting& waiting : all) {
      answer_early(waiting,
                   {"shutting_down",
                    "the daemon shuts down; the image is stored and will be "
                    "assigned after the next start"});
    }
  }
  waiting_.clear();
}

Result<std::size_t> LabelStage::remove(const std::vector<ImageId>& ids) {
  std::vector<ImageSeq> seqs;
  for (const ImageId& id : ids) {
    SHOAL_TRY(seq, store_.find(id));
    if (seq) seqs.push_back(*seq);
  }
  const std::uint64_t pending_before = book_->totals().deleted_pending;
  SHOAL_TRY(removed, book_->remove(ids));
  intake_.pending() -= static_cast<std::int64_t>(
      book_->totals().deleted_pending - pending_before);
  for (const ImageSeq seq : seqs) {
    const auto it = waiting_.find(seq);
    if (it == waiting_.end()) continue;
    for (const Waiting& waiting : it->second) {
      answer_deleted(waiting);
    }
    waiting_.erase(it);
  }
  return removed;
}

}  // namespace shoal
