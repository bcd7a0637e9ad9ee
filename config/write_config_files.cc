// Writes the two files that are generated from the declared fields:
//   shoal-write-config-files SOURCE_DIR
// writes SOURCE_DIR/config/shoal.toml and SOURCE_DIR/docs/configuration.md.

#include <filesystem>
#include <iostream>

#include "common/file.h"
#include "config/config.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: shoal-write-config-files SOURCE_DIR\n";
    return 2;
  }
  const std::filesystem::path root = argv[1];
  for (const auto& [file, text] :
       {std::pair{root / "config" / "shoal.toml",
                  shoal::print_config(shoal::default_config())},
        std::pair{root / "docs" / "configuration.md",
                  shoal::config_reference()}}) {
    const auto written = shoal::write_file_atomically(file, text);
    if (!written) {
      std::cerr << written.error().message << "\n";
      return 1;
    }
  }
  return 0;
}
