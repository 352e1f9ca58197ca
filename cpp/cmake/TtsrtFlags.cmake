# ttsrt_set_flags(target) sets the language standard, warnings and sanitizers that all targets of this project share.

set(ttsrt_sanitizers address,undefined address undefined thread)
if(TTSRT_SANITIZE AND NOT TTSRT_SANITIZE IN_LIST ttsrt_sanitizers)
    list(JOIN ttsrt_sanitizers " or " known)
    message(FATAL_ERROR "TTSRT_SANITIZE: expected ${known}, got ${TTSRT_SANITIZE}")
endif()

function(ttsrt_set_flags target)
    set_target_properties(
        ${target}
        PROPERTIES
            CXX_STANDARD 20
            CXX_STANDARD_REQUIRED ON
            CXX_EXTENSIONS OFF
            POSITION_INDEPENDENT_CODE ON
    )
    # No -ffast-math and no contraction: results must not depend on which operations the compiler fuses.
    target_compile_options(
        ${target}
        PRIVATE
            "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-ffp-contract=off>"
            $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${TTSRT_WERROR}>>:-Werror>
    )
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>) # false positive of GCC 12 in std::string + (GCC bug 105651)
    endif()
    if(TTSRT_SANITIZE)
        set(sanitize -fsanitize=${TTSRT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${sanitize}>")
        target_link_options(${target} PRIVATE ${sanitize})
    endif()
endfunction()
