#include "daemon/refine/run_views.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

std::vector<ActiveView> active() {
  std::vector<ActiveView> views;
  for (const char* const name : {"hog", "net", "color"}) {
    ActiveView view;
    view.key = {name, "none", "1", 8};
    views.push_back(view);
  }
  return views;
}

TEST(RunViews, AreAllUnlessSomeAreNamed) {
  RefineConfig config;
  EXPECT_EQ(choose_run_views(config, active()).value().keys.size(), 3U);
  config.views = {"color", "hog"};
  const RunViews chosen = choose_run_views(config, active()).value();
  EXPECT_EQ(chosen.keys,
            (std::vector<std::string>{"color@none@1@8", "hog@none@1@8"}));
  EXPECT_FALSE(chosen.net.has_value());
}

TEST(RunViews, TheTransferNetIsReadWhetherItIsClusteredOrNot) {
  RefineConfig config;
  config.transfer_net = "net";
  RunViews chosen = choose_run_views(config, active()).value();
  EXPECT_EQ(chosen.keys.size(), 3U);
  EXPECT_EQ(chosen.net, 1U);
  EXPECT_TRUE(chosen.cluster_net);
  config.views = {"hog"};
  chosen = choose_run_views(config, active()).value();
  EXPECT_EQ(chosen.keys,
            (std::vector<std::string>{"hog@none@1@8", "net@none@1@8"}));
  EXPECT_EQ(chosen.net, 1U);
  EXPECT_FALSE(chosen.cluster_net);
}

TEST(RunViews, AnUnknownNameIsAnsweredWithThoseThereAre) {
  RefineConfig config;
  config.views = {"hog", "hgo"};
  EXPECT_EQ(choose_run_views(config, active()).error().message,
            "refine.views names hgo, which is not among the views: hog, net, "
            "color");
  config.views.clear();
  config.transfer_net = "resnet";
  EXPECT_NE(choose_run_views(config, active())
                .error()
                .message.find("refine.transfer_net names resnet"),
            std::string::npos);
}

}  // namespace
}  // namespace shoal
