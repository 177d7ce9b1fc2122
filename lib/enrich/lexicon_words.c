/* The words of the mock enricher. All are written in lower case. Han, kana and hangul are looked up
 * in pairs of characters (there are no spaces to split them at), so their words are such pairs,
 * sometimes from the middle of a word; an emoji is a word of one character. */
#include "lib/enrich/lexicon.h"

/* clang-format off */
const struct word_group lexicon_groups[] = {
    /* topics */
    {"coffee espresso latte cappuccino mocha barista kaffee café cafés caffè koffie cafe "
     "кофе кофейня καφέ καφές قهوة القهوة कॉफी קפה 咖啡 珈琲 ーヒ 커피 ☕",
     .topics = {"coffee", "food"}},
    {"food lunch dinner breakfast brunch pizza pasta burger sushi ramen curry soup salad "
     "cheese bread bake baked baking cook cooked cooking recipe restaurant kitchen "
     "delicious cake chocolate cookies pancakes tacos essen brot kuchen rezept cuisine "
     "repas dîner fromage comida cena almuerzo receta pan paella cibo pranzo ricetta "
     "gelato jantar almoço receita pão eten brood lekker ужин обед борщ еда хлеб φαγητό "
     "طعام الطعام खाना चाय אוכל אוכלים 美食 好吃 美味 料理 火锅 餃子 寿司 ラー 음식 김치 맛있 저녁 🍕 🍔 🍟 🍣 🍜 🍝 🍰 "
     "🍎 🍓 🥐 🥗 🍞 🧀 🍫 🍪 🥞 🌮 🍦 🍲 🍛 🥟 🥑 🍽",
     .topics = {"food"}},
    {"tea matcha tee thé чай 🍵 茶道 紅茶 お茶 喝茶",
     .topics = {"tea", "food"}},
    {"ai llm chatbot gpt ki ia transformer transformers inteligencia artificial "
     "künstliche нейросеть 人工 智能 모델 🤖",
     .topics = {"AI", "technology"}},
    {"technology tech software computer computers laptop code coding programming "
     "developer developers app apps internet server servers database kafka linux python "
     "rust compiler gadget smartphone phone robot robots startup cloud data algorithm "
     "technik technologie tecnología tecnologia программист код компьютер τεχνολογία "
     "تكنولوجيا التكنولوجيا טכנולוגיה 科技 编程 技术 電腦 기술 코딩 💻 📱 🖥",
     .topics = {"technology"}},
    {"beach seaside surf surfing sand strand plage playa spiaggia praia пляж море παραλία "
     "θάλασσα الشاطئ البحر समुद्र חוף 海边 海滩 海辺 바다 해변 🏖 🏝 🌊 🐚",
     .topics = {"beach", "nature"}},
    {"nature forest hike hiking hiked mountain mountains lake river trail trails tree "
     "trees flower flowers sunset sunrise sky stars wald berg berge natur montagne forêt "
     "montaña montañas bosque montagna bosco montanha floresta bos natuur лес горы "
     "природа φύση βουνό طبيعة الطبيعة पहाड़ טבע 森林 山上 登山 自然 樱花 桜が 紅葉 자연 등산 벚꽃 🌲 🌳 🌸 🌷 🌻 "
     "🌿 🍁 🍂 🏔 ⛰ 🌅 🌄 🌈 🦋 🌺",
     .topics = {"nature"}},
    {"travel trip flight airport vacation holiday holidays journey hotel train tour "
     "backpack reise urlaub zug voyage vacances viaje vacaciones viaggio vacanze viagem "
     "férias reis vakantie поездка путешествие отпуск ταξίδι سفر السفر यात्रा טיול 旅行 旅遊 "
     "출장 여행 ✈ 🧳 🗺 🚆 🚂 🗼",
     .topics = {"travel"}},
    {"music song songs concert guitar piano album band jazz violin choir playlist musik "
     "konzert musique chanson música canción concierto musica canzone concerto muziek "
     "музыка песня концерт μουσική موسيقى الموسيقى संगीत गाना מוזיקה 音乐 音楽 음악 노래 🎵 🎶 🎸 🎹 "
     "🎻 🎤 🎧 🥁",
     .topics = {"music"}},
    {"sport sports football soccer goal match tennis basketball marathon gym yoga cycling "
     "swim swimming ran running run training fußball laufen fútbol partido "
     "calcio partita futebol jogo voetbal wedstrijd футбол бег ποδόσφαιρο كرة क्रिकेट "
     "cricket כדורגל 足球 跑步 サッ 운동 축구 ⚽ 🏀 🎾 🏃 🚴 🏊 🏆 🥇 🏋 🏸",
     .topics = {"sports"}},
    {"health doctor sleep slept meditation vitamins exercise gesundheit santé salud "
     "salute saúde gezondheid здоровье υγεία الصحة स्वास्थ्य योग 健康 건강 🧘 💪 🩺 😴",
     .topics = {"health"}},
    {"work job office meeting meetings project deadline boss interview career email "
     "colleagues arbeit büro travail bureau réunion trabajo oficina lavoro ufficio "
     "trabalho escritório werk kantoor работа δουλειά العمل काम עבודה 工作 仕事 회사 💼 📈",
     .topics = {"work"}},
    {"family mom dad mother father son daughter baby kids children grandma grandpa "
     "grandmother sister brother familie kinder oma enfants famille familia hijos abuela "
     "famiglia nonna família avó kinderen семья бабушка οικογένεια العائلة परिवार משפחה "
     "סבתא 家人 妈妈 家族 가족 👶 👪 👵 👨 👩 👧",
     .topics = {"family"}},
    {"friend friends freunde freund amis amigo amigos amici vrienden друзья φίλους "
     "الأصدقاء दोस्त दोस्तों חברים 朋友 友達 친구 🤝",
     .topics = {"friends"}},
    {"dog dogs puppy cat cats kitten pet pets parrot hund katze chien perro gato "
     "gatto cane cachorro hond kat собака кот кошка σκύλος γάτα قطة القطة बिल्ली כלב חתול "
     "小猫 猫咪 子猫 고양 강아 🐶 🐱 🐕 🐈 🐾 🐹 🐰 🦜",
     .topics = {"pets"}},
    {"book books novel library author poem poetry chapter buch bücher lesen "
     "livre livres libro libros libri livro livros boek книга книгу книги βιβλίο كتاب "
     "كتابا किताब ספר 读书 看书 読書 책을 📚 📖",
     .topics = {"books"}},
    {"movie movies film films cinema series documentary kino cinéma película cine filme "
     "фильм кино ταινία فيلم फिल्म סרט 电影 映画 영화 🎬 🍿 🎥",
     .topics = {"film"}},
    {"game games gaming chess puzzle console spiel jeu juego gioco jogo spel игра "
     "παιχνίδι لعبة खेल משחק 游戏 ゲー 게임 🎮 ♟ 🎲 🧩",
     .topics = {"games"}},
    {"weather rain rainy raining snow snowing storm cloudy forecast wind windy heatwave "
     "thunder wetter regen schnee pluie neige lluvia nieve pioggia neve chuva sneeuw "
     "дождь снег погода βροχή المطر बारिश גשם 下雨 天气 天気 雨が 날씨 비가 ☔ 🌧 ❄ ⛈ 🌨 ☃ ☁",
     .topics = {"weather"}},
    {"science scientist scientists research experiment physics chemistry biology lab "
     "vaccine study wissenschaft forschung ciencia scienza ciência наука επιστήμη العلم "
     "विज्ञान 科学 研究 과학 🔬 🧪 🧬",
     .topics = {"science"}},
    {"space moon planet mars rocket telescope galaxy astronaut satellite eclipse mond "
     "luna lune lua космос луна διάστημα القمر चाँद ירח 太空 月亮 宇宙 우주 🚀 🌙 🪐 🔭 🌌",
     .topics = {"space", "science"}},
    {"art painting paint museum gallery drawing sketch sculpture exhibition pottery kunst "
     "gemälde peinture musée arte museo cuadro mostra museu schilderij искусство музей "
     "τέχνη متحف المتحف कला אמנות 画画 博物 美術 미술 🎨 🖼 🖌",
     .topics = {"art"}},
    {"fashion dress shoes jacket jeans sweater outfit kleid robe ropa vestido moda "
     "vestito kleding платье φόρεμα فستان 衣服 옷을 👗 👟 👠 👕",
     .topics = {"fashion"}},
    {"money price prices bank budget savings invest stocks salary geld preis argent prix "
     "dinero precio soldi prezzo dinheiro preço деньги χρήματα المال पैसा כסף 钱包 股票 給料 월급 "
     "💰 💶 💸 📉",
     .topics = {"money"}},
    {"school teacher university exam exams student students lesson class homework learn "
     "learning learned schule lehrer prüfung école professeur examen escuela maestra "
     "scuola esame escola prova школа учитель экзамен σχολείο المدرسة स्कूल परीक्षा 学习 学校 "
     "勉強 학교 공부 시험 🎓 ✏ 🏫",
     .topics = {"education"}},
    {"home house apartment furniture sofa cleaning laundry haus wohnung maison "
     "appartement casa piso дом квартира σπίτι البيت घर בית 房子 部屋 집에 🏠 🛋 🏡",
     .topics = {"home"}},
    {"garden gardening tomatoes tomato seeds roses vegetables plant plants garten jardin "
     "jardín giardino jardim tuin сад огород κήπος حديقة الحديقة बगीचा גינה 花园 정원 🌱 🍅 🪴 🌹 "
     "🥕",
     .topics = {"garden", "nature"}},
    {"birthday party wedding anniversary celebrate celebrating celebration christmas "
     "graduation geburtstag hochzeit anniversaire mariage cumpleaños boda compleanno "
     "matrimonio aniversário casamento verjaardag свадьба γενέθλια عيد ميلاد जन्मदिन "
     "दिवाली 生日 春节 誕生 생일 🎉 🎂 🎈 🥳 🎁 🎄 🪔 🎊",
     .topics = {"celebration"}},
    {"car cars bike bicycle bus metro subway traffic electric tram auto fahrrad voiture "
     "vélo coche bicicleta macchina bici carro fiets машина метро велосипед αυτοκίνητο "
     "سيارة मेट्रो רכבת 地铁 电车 電車 지하 🚗 🚌 🚲 🚇",
     .topics = {"transport"}},
    {"climate recycling recycle solar energy pollution carbon sustainable klima climat "
     "clima климат κλίμα المناخ 环保 気候 ♻ 🌍 🌎 🌏",
     .topics = {"environment"}},
    {"photo photos photography camera picture pictures foto fotos photographie fotografía "
     "фото φωτογραφία صورة तस्वीर תמונה 照片 写真 사진 📷 📸",
     .topics = {"photography"}},
    {"news election government vote parliament minister nachrichten nouvelles noticias "
     "notizie notícias nieuws новости νέα الأخبار समाचार חדשות 新闻 ニュ 뉴스 📰 🗳",
     .topics = {"news"}},

    /* moods */
    {"great good awesome amazing wonderful love loved loving lovely nice happy best "
     "beautiful sunny fantastic excellent perfect delicious enjoy enjoyed enjoying fun "
     "glad excited proud brilliant cozy relaxing relaxed peaceful thanks thank grateful "
     "better win won winning finally gorgeous tasty cool fresh super yay favorite "
     "favourite magical delighted calm friendly",
     .mood = 1},
    {"gut gute guten guter toll tolle toller schön schöne schöner liebe lecker wunderbar "
     "glücklich sonnig endlich freue prima bon bonne belle beau magnifique adore aime "
     "délicieux heureux heureuse merci superbe parfait bueno buena buenos buen genial "
     "hermoso hermosa feliz encanta delicioso maravilloso gracias increíble buono buona "
     "bello bella felice adoro ottimo ottima bellissimo bellissima grazie bom boa ótimo "
     "ótima lindo linda adorei amo maravilhoso obrigado obrigada incrível mooi mooie leuk "
     "leuke lekker heerlijk heerlijke geweldig blij gezellig fijn",
     .mood = 1},
    {"хорошо отлично прекрасный прекрасная люблю вкусный вкусно счастлив счастлива "
     "замечательный замечательно чудесный рада рад спасибо ωραία ωραίος υπέροχη υπέροχος "
     "χαρούμενος αγαπώ καλός تمام جميل جميلة رائع رائعة أحب لذيذ لذيذة سعيد سعيدة अच्छा "
     "अच्छी बढ़िया खुश स्वादिष्ट सुंदर מצוין נהדר נהדרת יפה אוהב אוהבת שמח טעים",
     .mood = 1},
    {"喜欢 开心 快乐 好喝 好吃 美味 漂亮 美丽 幸福 高兴 太棒 最高 楽し 嬉し 好き 綺麗 幸せ 행복 좋아 좋은 최고 맛있 예쁘 즐거 😀 😁 😃 😄 😊 😍 "
     "🥰 😎 🤩 🥳 😋 🎉 👍 👏 🙌 ❤ 💕 💖 💙 💚 💛 🧡 💜 ✨ 🌞 ☀ ⭐ 🌟 😂 🤗 🙏 💪 🏆 😌",
     .mood = 1},
    {"bad terrible awful sad angry hate hated horrible worst boring disappointed "
     "disappointing broken broke delayed delay cancelled canceled stuck sick tired "
     "lost annoying annoyed expensive crash crashed failed fail fails miss missed "
     "lonely painful worried ugly noisy rude stolen cries crying burnt burned "
     "frustrating",
     .mood = -1},
    {"schlecht schlechte schlechter traurig schrecklich kaputt verspätet verspätung müde "
     "krank langweilig teuer leider mauvais mauvaise triste nul horrible cassé fatigué "
     "fatiguée malade retard cher malo mala terrible odio roto cansado cansada enfermo "
     "enferma aburrido retraso caro cattivo brutto brutta rotto stanco stanca malato "
     "ritardo noioso ruim péssimo péssima quebrado doente atraso chato slecht slechte "
     "verdrietig kapot moe ziek vertraging saai duur helaas",
     .mood = -1},
    {"плохо плохой ужасно ужасный грустно устал устала сломался сломалась скучно опоздал "
     "κακός λυπημένος κουρασμένος χάλια سيئ سيئة حزين حزينة متعب متعبة बुरा दुखी थका खराब "
     "רע עצוב עייף נורא 难过 伤心 讨厌 糟糕 生气 太累 悲し 最悪 疲れ 残念 寂し 슬퍼 슬프 최악 피곤 아파 😢 😭 😞 😠 😡 🤬 😔 👎 💔 "
     "😩 😫 🤒 🤢 😤 🙁 ☹ 😓",
     .mood = -1},

    /* words that turn a mood around */
    {"not no never isn wasn don doesn didn cannot won aren without hardly nicht kein "
     "keine pas jamais sans nunca sin non mai senza não nem sem niet geen не нет δεν لا "
     "ليس नहीं לא",
     .negates = 1},

    /* what gives a language away */
    {"the and is are was were to of in with for this that it its my i you we he she they "
     "just had about at on not have has be been from what how when where who your our an "
     "as by so very really too all out up after before today",
     .language = "en"},
    {"der die das und ist sind war ein eine einen einem einer nicht mit für auf im in zu "
     "von den dem des ich du wir sie es auch noch so wie was aber nach bei am heute sehr "
     "mein meine hat haben",
     .language = "de"},
    {"le la les un une des et est sont dans avec pour sur ce cette mon ma mes je tu nous "
     "vous il elle pas du de que qui au aux très plus on en aujourd hui j c l d qu sa son "
     "ses ai était",
     .language = "fr"},
    {"el la los las un una unos y es son en con para por mi mis yo tú que de del al se lo "
     "no muy más hoy este esta está están qué pero como ha he fue me nos su sus",
     .language = "es"},
    {"il lo la i gli le un una uno e è sono in con per su di del della al che non mi si "
     "ho ha questo questa oggi molto più mio mia come ma dal nel nella alla ci anche era",
     .language = "it"},
    {"o a os as um uma e é são em no na com para por do da dos das que não eu meu minha "
     "muito mais hoje este esta foi está se ao à isso mas como ele ela nós de",
     .language = "pt"},
    {"de het een en is zijn was in met voor op van dat dit die ik je jij wij we hij ze "
     "niet ook nog aan er maar om bij vandaag heel erg mijn naar te heb heeft",
     .language = "nl"},
};
/* clang-format on */

const size_t lexicon_group_count = sizeof lexicon_groups / sizeof *lexicon_groups;
