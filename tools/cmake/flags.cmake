# m3bsr_flags: how every target of ours is compiled.
add_library(m3bsr_flags INTERFACE)
target_compile_definitions(m3bsr_flags INTERFACE _GNU_SOURCE)
target_compile_options(m3bsr_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow $<$<BOOL:${M3BSR_WERROR}>:-Werror>
  # Sources name themselves in error messages: by their place in the project, not on the machine that built it.
  -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=
  # A sum means the same on every machine; the kernels of the cpu backend alone may contract.
  -ffp-contract=off
  # Assertions are part of the product; the build types of a project that this one is part of may define NDEBUG.
  $<$<NOT:$<BOOL:${PROJECT_IS_TOP_LEVEL}>>:-UNDEBUG>)
if(M3BSR_SANITIZE)
  add_compile_options(-fsanitize=${M3BSR_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${M3BSR_SANITIZE})
endif()
if(M3BSR_FUZZ) # what libFuzzer watches; its own main is linked to the targets in tests/fuzz alone
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
